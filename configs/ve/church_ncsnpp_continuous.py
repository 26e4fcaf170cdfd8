"""NCSN++ cont. (VE) on LSUN churches at 256 pixels (2011.13456 appendix H.3).

jaxgen train --config=configs/ve/church_ncsnpp_continuous.py --workdir=runs/ve_church_ncsnpp_cont

Published: samples only; 65.6 M parameters.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "bedroom_ncsnpp_continuous.py")
    config.data.dataset = "lsun/church_outdoor"
    config.sde.sigma_max = 380.0
    return config
