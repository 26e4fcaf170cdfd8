"""DDPM (Ho et al. 2020, 2006.11239) on CelebA-HQ at 256 pixels, as trained by Song et al. 2021, from the folder of its
30 000 images.

jaxgen train --config=configs/vp/ddpm/celebahq.py --workdir=runs/vp_ddpm_celebahq

Published: no figure in 2011.13456.

The release reads the 1024-pixel TFRecords on its author's disk, though its network is for 256 pixels.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "bedroom.py")
    config.data.update(dataset="data/celebahq", test_split="train")
    return config
