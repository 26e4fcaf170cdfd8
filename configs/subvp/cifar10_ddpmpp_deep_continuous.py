"""DDPM++ cont. deep (sub-VP) on CIFAR-10 (2011.13456): the best likelihood of the paper.

jaxgen train --config=configs/subvp/cifar10_ddpmpp_deep_continuous.py --workdir=runs/subvp_cifar10_ddpmpp_deep_cont

Published: FID 2.41, Inception score 9.57 (table 3: best checkpoint, Euler-Maruyama with 1000 evaluations); FID 2.92 of
the probability-flow ODE and 2.99 bits/dim (table 2: last checkpoint); 106.6 M parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../vp/cifar10_ddpmpp_deep_continuous.py")
    config.sde = call("subvp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
