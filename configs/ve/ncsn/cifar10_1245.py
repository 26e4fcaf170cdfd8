"""NCSN on CIFAR-10 with techniques 1, 2, 4 and 5 of Song and Ermon 2020 (2006.09011): noise levels, Langevin steps,
moving average.

jaxgen train --config=configs/ve/ncsn/cifar10_1245.py --workdir=runs/ve_ncsn_cifar10_1245

Published: no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10_124.py")
    config.ema = call("constant", decay=0.999)
    return config
