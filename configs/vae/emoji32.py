"""A class-conditional convolutional VAE on the 32x32 emoji, with a discretized mixture of logistics for the pixels.

jaxgen train --config=configs/vae/emoji32.py --workdir=runs/vae_emoji32
jaxgen likelihood --workdir=runs/vae_emoji32
jaxgen sample --workdir=runs/vae_emoji32 --num=36 --out=emoji.png

Not run here.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits_conv.py")
    config.data.dataset = "emoji32"
    config.data.shift = 0
    config.data.conditional = True
    config.encoder = call("conv_encoder", latent=128, widths=(64, 128, 192, 256), blocks=2, dropout=0.1)
    config.decoder = call("conv_decoder", widths=(64, 128, 192, 256), blocks=2, dropout=0.1)
    config.loss.likelihood = call("discretized_logistic_mixture", mixtures=10)
    config.loss.beta.steps = 5000
    config.optimizer.learning_rate = 5e-4
    config.ema = call("warm", decay=0.9995)
    config.train.steps = 20_000
    config.train.batch_size = 64
    config.train.checkpoint_every = 1000
    config.train.sample_every = 1000
    config.sampling.output = "mean"
    config.sampling.images = 36
    config.sampling.batch_size = 64
    return config
