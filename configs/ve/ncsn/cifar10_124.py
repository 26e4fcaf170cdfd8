"""NCSN on CIFAR-10 with techniques 1, 2 and 4 of Song and Ermon 2020 (2006.09011): the largest noise level, the number
of levels, the steps of Langevin dynamics.

jaxgen train --config=configs/ve/ncsn/cifar10_124.py --workdir=runs/ve_ncsn_cifar10_124

Published: no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.sde = call("ncsn", n=232, sigma_min=0.01, sigma_max=50.0)
    config.model.sigmas = call("geometric", n=232, sigma_min=0.01, sigma_max=50.0)
    config.sampling.solver.snr = 0.176
    config.sampling.solver.corrector_steps = 5
    config.sampling.steps = 232
    return config
