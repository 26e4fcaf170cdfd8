"""VQ-VAE on the 32x32 emoji: 8x8 codes of a codebook of 256, kept by moving averages.

jaxgen train --config=configs/vqvae/emoji32.py --workdir=runs/vqvae_emoji32
jaxgen evaluate --workdir=runs/vqvae_emoji32 --metrics=reconstruction

Seed 0: 32 test images at 23.3 dB (experiments/emoji32).
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits.py")
    config.data.dataset = "emoji32"
    quantizer = call("moving_average", size=256, dim=64, restart=0.1)
    config.model = call("vqvae", quantizer=quantizer)
    config.train.steps = 3000
    config.train.batch_size = 64
    config.train.checkpoint_every = 1000
    config.train.sample_every = 1000
    config.optimizer.learning_rate = 1e-3
    config.ema = call("warm", decay=0.999)
    return config
