"""DDPM cont. (sub-VP) on CIFAR-10 (2011.13456): the network of Ho et al. 2020.

jaxgen train --config=configs/subvp/cifar10_ddpm_continuous.py --workdir=runs/subvp_cifar10_ddpm_cont

Published: FID 3.56 of the probability-flow ODE and 3.05 bits/dim (table 2: last checkpoint); 35.2 M parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../vp/ddpm/cifar10_continuous.py")
    config.sde = call("subvp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
