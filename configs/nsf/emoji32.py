"""A class-conditional neural spline flow on the 32x32 emoji, of three scales of three steps.

jaxgen train --config=configs/nsf/emoji32.py --workdir=runs/nsf_emoji32
jaxgen likelihood --workdir=runs/nsf_emoji32 --split=train,test --num=309 --importance=4
jaxgen sample --workdir=runs/nsf_emoji32 --num=63 --out=emoji.png

Measured, seed 0, on the 309 test images in bits/dim: 3.31 (standard error 0.04) with uniform dequantization, 3.30 with
4 importance-weighted draws of it, 2.99 on 309 training images; 581 s of CPU time to train (samples:
experiments/emoji32).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../glow/emoji32.py")
    config.model = call("nsf", scales=3, steps=3, bins=8, bound=3.0, width=48, blocks=1, dropout=0.1)
    config.train.steps = 800
    return config
