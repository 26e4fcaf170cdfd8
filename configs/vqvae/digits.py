"""VQ-VAE on the 8x8 digits: 4x4 codes of a codebook of 64, kept by moving averages.

jaxgen train --config=configs/vqvae/digits.py --workdir=runs/vqvae_digits
jaxgen evaluate --workdir=runs/vqvae_digits --metrics=reconstruction
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, default


def get_config() -> ConfigDict:
    config = default("autoencoder")
    config.data.dataset = "digits"
    quantizer = call("moving_average", size=64, dim=16, decay=0.99, restart=0.1)
    config.model = call("vqvae", quantizer=quantizer, channels=64, halvings=1, blocks=2, width=32)
    config.train.steps = 2000
    config.train.batch_size = 128
    config.optimizer = call("adam", learning_rate=4e-3, decay_steps=config.train.get_oneway_ref("steps"))
    config.ema = call("warm", decay=0.99)
    return config
