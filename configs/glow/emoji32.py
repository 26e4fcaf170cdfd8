"""Glow on the 32x32 emoji, of three scales of six steps; the class moves the top.

jaxgen train --config=configs/glow/emoji32.py --workdir=runs/glow_emoji32
jaxgen likelihood --workdir=runs/glow_emoji32 --split=train,test --num=309 --importance=8
jaxgen sample --workdir=runs/glow_emoji32 --num=63 --out=emoji.png

Measured, seed 0, on the 309 test images in bits/dim: 3.68 (standard error 0.04) with uniform dequantization, 3.67 with
8 importance-weighted draws of it, 3.43 on 309 training images; 713 s of CPU time to train (samples:
experiments/emoji32).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.model = call("glow", scales=3, steps=6, width=128, dropout=0.1)
    config.data.dataset = "emoji32"
    config.data.conditional = True
    config.data.flip = False
    config.optimizer = call(
        "adam", learning_rate=1e-3, warmup=100, clip=50.0, decay_steps=config.train.get_oneway_ref("steps")
    )
    config.ema = call("warm", decay=0.999)
    config.train.steps = 1000
    config.train.batch_size = 32
    config.train.log_every = 50
    config.train.checkpoint_every = 250
    config.train.sample_every = 500
    config.sampling.images = 36
    config.sampling.temperature = 0.7
    return config
