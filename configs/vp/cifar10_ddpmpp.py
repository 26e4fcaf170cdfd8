"""DDPM++ (VP) on CIFAR-10 (2011.13456), trained on the table of DDPM.

jaxgen train --config=configs/vp/cifar10_ddpmpp.py --workdir=runs/vp_cifar10_ddpmpp

Published: FID 2.78, Inception score 9.64 (table 3: best checkpoint, ancestral sampling with 1000 evaluations).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ddpmpp_continuous.py")
    config.sde = call("ddpm", n=1000, beta_min=0.1, beta_max=20.0)
    config.loss.label = call("fractional_index")
    config.sampling.solver.predictor = "ancestral_sampling"
    config.likelihood.sde = call("vp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
