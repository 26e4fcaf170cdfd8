"""A VDVAE on the 32x32 emoji.

jaxgen train --config=configs/vdvae/emoji32.py --workdir=runs/vdvae_emoji32
jaxgen sample --workdir=runs/vdvae_emoji32 --num=36 --out=emoji.png

Not run here.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "cifar10.py")
    config.data.dataset = "emoji32"
    config.model = call(
        "vdvae",
        encoder="32x2,32d2,16x2,16d2,8x3,8d2,4x2,4d4,1x2",
        decoder="1x1,4m1,4x2,8m4,8x4,16m8,16x4,32m16,32x4",
        width=128,
        bottleneck=0.25,
        latent=16,
        dropout=0.1,
    )
    config.optimizer.learning_rate = 5e-4
    config.ema = call("warm", decay=0.9995)
    config.train.steps = 30_000
    config.train.checkpoint_every = 2000
    config.train.sample_every = 2000
    config.sampling.images = 36
    config.sampling.temperature = 0.85
    return config
