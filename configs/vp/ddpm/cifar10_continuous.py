"""DDPM cont. (VP) on CIFAR-10 (2011.13456): the network of Ho et al. 2020 in continuous time.

jaxgen train --config=configs/vp/ddpm/cifar10_continuous.py --workdir=runs/vp_ddpm_cifar10_cont

Published: FID 3.69 of the probability-flow ODE and 3.21 bits/dim (table 2: last checkpoint); 35.2 M parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../cifar10_ddpmpp_continuous.py")
    config.model = call(
        "ddpm", channels=128, ch_mult=(1, 2, 2, 2), num_res_blocks=2, attn_resolutions=(16,), dropout=0.1, centered=True
    )
    return config
