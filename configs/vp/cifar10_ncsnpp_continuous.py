"""The network of NCSN++ under the VP SDE on CIFAR-10 (2011.13456).

jaxgen train --config=configs/vp/cifar10_ncsnpp_continuous.py --workdir=runs/vp_cifar10_ncsnpp_cont

Published: no number.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ddpmpp_continuous.py")
    config.model.fir = True
    config.model.progressive_input = "residual"
    return config
