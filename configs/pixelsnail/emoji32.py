"""A class-conditional PixelSNAIL on the 32x32 emoji: 0.16 M parameters, two attentions.

jaxgen train --config=configs/pixelsnail/emoji32.py --workdir=runs/pixelsnail_emoji32
jaxgen likelihood --workdir=runs/pixelsnail_emoji32 --split=train,test --num=309
jaxgen sample --workdir=runs/pixelsnail_emoji32 --num=63 --out=emoji.png

Seed 0: 3.13 bits/dim of the 309 test images, 2.87 of the first 309 training images, after 1.8 passes over the data,
10 minutes of CPU time (samples: experiments/emoji32).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../pixelcnnpp/emoji32.py")
    config.model = call("pixelsnail", width=32, attentions=2, blocks=2, key=16, value=16)
    config.train.steps = 800
    config.train.checkpoint_every = 400
    config.train.sample_every = 800
    return config
