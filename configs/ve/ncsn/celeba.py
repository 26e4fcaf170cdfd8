"""NCSN (Song and Ermon 2019, 1907.05600) on CelebA at 64 pixels: ten noise levels, annealed Langevin dynamics.

jaxgen train --config=configs/ve/ncsn/celeba.py --workdir=runs/ve_ncsn_celeba

Published: no figure in 2011.13456; the release has none either.

The release writes training.loss='vesde' for training.sde, which its code then misses.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.update(dataset="celeb_a", center_crop=140, image_size=64, test_split="validation")
    return config
