"""Class-conditional EDM with a U-Net on the 32x32 emoji, with classifier-free guidance.

jaxgen train --config=configs/edm/emoji32.py --workdir=runs/emoji32
jaxgen sample --workdir=runs/emoji32 --num=36 --guidance=2 --out=emoji.png
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits_mlp.py")
    config.data.dataset = "emoji32"
    config.data.center = False
    config.data.conditional = True
    config.loss.drop_condition = 0.1
    config.model = call("unet", channels=64, mult=(1, 2, 2), blocks=2, attention=(2,), dropout=0.1, embedding="fourier")
    config.train.steps = 20000
    config.train.batch_size = 64
    config.train.checkpoint_every = 1000
    config.train.sample_every = 1000
    config.optimizer.learning_rate = 5e-4
    config.ema.decay = 0.9995
    config.sampling.guidance = 2.0
    config.sampling.images = 36
    return config
