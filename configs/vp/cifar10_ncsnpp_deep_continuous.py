"""The network of NCSN++ under the VP SDE on CIFAR-10 (2011.13456), with twice the blocks.

jaxgen train --config=configs/vp/cifar10_ncsnpp_deep_continuous.py --workdir=runs/vp_cifar10_ncsnpp_deep_cont

Published: no number.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_ncsnpp_continuous.py")
    config.model.num_res_blocks = 8
    config.train.steps = 950_000
    return config
