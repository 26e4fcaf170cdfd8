"""The network of NCSN++ under the sub-VP SDE on CIFAR-10 (2011.13456), with twice the blocks.

jaxgen train --config=configs/subvp/cifar10_ncsnpp_deep_continuous.py --workdir=runs/subvp_cifar10_ncsnpp_deep_cont

Published: no number.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../vp/cifar10_ncsnpp_deep_continuous.py")
    config.sde = call("subvp", beta_min=0.1, beta_max=20.0, t0=1e-5)
    return config
