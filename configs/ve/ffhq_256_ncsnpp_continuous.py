"""NCSN++ cont. (VE) on FFHQ at 256 pixels (2011.13456 appendix H.3), from the folder of its 70 000 images.

jaxgen train --config=configs/ve/ffhq_256_ncsnpp_continuous.py --workdir=runs/ve_ffhq_256_ncsnpp_cont

Published: samples only; 65.6 M parameters.

The release reads a file on its author's disk, the 256-pixel level of the TFRecords of StyleGAN.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "celebahq_256_ncsnpp_continuous.py")
    config.data.dataset = "data/ffhq"
    return config
