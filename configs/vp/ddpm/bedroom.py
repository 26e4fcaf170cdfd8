"""DDPM (Ho et al. 2020, 2006.11239) on LSUN bedrooms at 256 pixels, as trained by Song et al. 2021.

jaxgen train --config=configs/vp/ddpm/bedroom.py --workdir=runs/vp_ddpm_bedroom

Published: FID 6.36 by Ho et al. (2006.11239); no figure in 2011.13456.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.update(dataset="lsun/bedroom", image_size=256, test_split="validation")
    config.model.ch_mult = (1, 1, 2, 2, 4, 4)
    config.model.dropout = 0.0
    config.optimizer.learning_rate = 2e-5
    config.train.steps = 2_400_000
    config.train.batch_size = 64
    config.train.checkpoint_every = 5000
    config.sampling.batch_size = 512
    return config
