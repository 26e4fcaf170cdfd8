"""DDPM on CIFAR-10 whose network is not told the time (2011.13456).

jaxgen train --config=configs/vp/ddpm/cifar10_unconditional.py --workdir=runs/vp_ddpm_cifar10_unconditional

Published: no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.model.conditional = False
    return config
