"""NCSN++ cont. (VE) on FFHQ at 1024 pixels (2011.13456 appendix H.3), from the folder of its 70 000 images.

jaxgen train --config=configs/ve/ffhq_ncsnpp_continuous.py --workdir=runs/ve_ffhq_ncsnpp_cont

Published: samples only; 105.8 M parameters.

The release's file imports PyTorch and lacks n_jitted_steps, so that its own JAX code cannot run it. Its loss is a mean
over the pixels, in that of CelebA-HQ half their sum.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "celebahq_ncsnpp_continuous.py")
    config.data.dataset = "data/ffhq"
    config.loss.reduce = call("mean")
    return config
