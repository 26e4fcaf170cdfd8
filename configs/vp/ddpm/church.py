"""DDPM (Ho et al. 2020, 2006.11239) on LSUN churches at 256 pixels, as trained by Song et al. 2021.

jaxgen train --config=configs/vp/ddpm/church.py --workdir=runs/vp_ddpm_church

Published: FID 7.89 by Ho et al. (2006.11239); no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "bedroom.py")
    config.data.dataset = "lsun/church_outdoor"
    return config
