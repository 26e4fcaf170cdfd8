"""NCSN on CelebA at 64 pixels with technique 5 of Song and Ermon 2020 (2006.09011): a moving average.

jaxgen train --config=configs/ve/ncsn/celeba_5.py --workdir=runs/ve_ncsn_celeba_5

Published: no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "celeba.py")
    config.ema = call("constant", decay=0.999)
    return config
