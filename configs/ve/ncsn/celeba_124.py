"""NCSN on CelebA at 64 pixels with techniques 1, 2 and 4 of Song and Ermon 2020 (2006.09011): noise levels and Langevin
steps.

jaxgen train --config=configs/ve/ncsn/celeba_124.py --workdir=runs/ve_ncsn_celeba_124

Published: no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "celeba.py")
    config.sde = call("ncsn", n=500, sigma_min=0.01, sigma_max=90.0)
    config.model.sigmas = call("geometric", n=500, sigma_min=0.01, sigma_max=90.0)
    config.sampling.solver.snr = 0.128
    config.sampling.solver.corrector_steps = 5
    config.sampling.steps = 500
    return config
