"""A VQ-VAE of fully connected layers on the 8x8 digits: 16 codes an image, of a codebook of 64.

jaxgen train --config=configs/vqvae/digits_mlp.py --workdir=runs/vqvae_digits_mlp
jaxgen evaluate --workdir=runs/vqvae_digits_mlp --metrics=reconstruction
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits.py")
    quantizer = config.model.quantizer
    config.model = call("mlp_autoencoder", quantizer=quantizer, vectors=16, width=256, blocks=2)
    config.optimizer.learning_rate = 1e-3
    return config
