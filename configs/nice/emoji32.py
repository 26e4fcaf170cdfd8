"""A class-conditional NICE on the 32x32 emoji, in logit space.

jaxgen train --config=configs/nice/emoji32.py --workdir=runs/nice_emoji32
jaxgen likelihood --workdir=runs/nice_emoji32 --split=train,test --num=309 --importance=8
jaxgen sample --workdir=runs/nice_emoji32 --num=63 --out=emoji.png

Measured, seed 0, on the 309 test images in bits/dim: 6.03 (standard error 0.04) with uniform dequantization and with
8 importance-weighted draws of it, 5.41 on 309 training images; 248 s of CPU time to train (samples:
experiments/emoji32). Layers that only add leave every pixel the same noise in all images.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "../glow/emoji32.py")
    config.data.space = call("logit", alpha=0.05)
    config.model = call("nice", couplings=4, layers=2, width=400, dropout=0.1)
    config.base = call("logistic")
    config.optimizer.learning_rate = 2e-3
    config.train.steps = 3000
    config.train.checkpoint_every = 500
    return config
