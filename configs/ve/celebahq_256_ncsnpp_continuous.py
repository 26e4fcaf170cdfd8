"""NCSN++ cont. (VE) on CelebA-HQ at 256 pixels (2011.13456 appendix H.3), from the folder of its 30 000 images.

jaxgen train --config=configs/ve/celebahq_256_ncsnpp_continuous.py --workdir=runs/ve_celebahq_256_ncsnpp_cont

Published: samples only; 65.6 M parameters.

The release reads a file on its author's disk, the 256-pixel level of the TFRecords of progressive GANs.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "bedroom_ncsnpp_continuous.py")
    config.data.update(dataset="data/celebahq", test_split="train")
    config.sde.sigma_max = 348.0
    return config
