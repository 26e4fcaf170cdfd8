"""DDPM++ cont. (sub-VP) on CIFAR-10 (2011.13456).

jaxgen train --config=configs/subvp/cifar10_ddpmpp_continuous.py --workdir=runs/subvp_cifar10_ddpmpp_cont

Published: FID 2.61, Inception score 9.56 (table 3: best checkpoint, Euler-Maruyama with 1000 evaluations); FID 3.16 of
the probability-flow ODE and 3.02 bits/dim (table 2: last checkpoint); 61.8 M parameters.

Langevin correctors, an error in the release, run here (corrector=langevin).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../vp/cifar10_ddpmpp_continuous.py")
    config.sde = call("subvp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
