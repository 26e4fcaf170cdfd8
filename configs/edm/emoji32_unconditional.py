"""Unconditional EDM with a small U-Net on the 32x32 emoji, for filling in pixels, colours and detail.

jaxgen train --config=configs/edm/emoji32_unconditional.py --workdir=runs/emoji32_unconditional
jaxgen restore --workdir=runs/emoji32_unconditional --task=colorize --out=colorized.png
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "emoji32.py")
    config.data.conditional = False
    config.loss.drop_condition = 0.0
    config.model = call("unet", channels=32, mult=(1, 2, 2), blocks=1, attention=(2,), dropout=0.0, embedding="fourier")
    config.train.steps = 4000
    config.train.batch_size = 32
    config.train.checkpoint_every = 500
    config.train.sample_every = 1000
    config.ema = call("warm", decay=0.999)
    config.sampling.guidance = 1.0
    return config
