"""A VQ-VAE of fully connected layers on the 8x8 digits: 16 codes an image, of a codebook of 64.

jaxgen train --config=configs/vqvae/digits_mlp.py --workdir=runs/vqvae_digits_mlp
jaxgen evaluate --workdir=runs/vqvae_digits_mlp --metrics=reconstruction

Measured on the 360 test images, seeds 0, 1, 2: PSNR 22.7, 22.0, 22.9 dB (MSE 0.0054, 0.0063, 0.0052), all 64 codes in
use with perplexity 61, 60, 60; 629 000 parameters, 1.1 to 1.3 min of training on 2 busy cores.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits.py")
    quantizer = config.model.quantizer
    config.model = call("mlp_autoencoder", quantizer=quantizer, vectors=16, width=256, blocks=2)
    config.optimizer.learning_rate = 1e-3
    return config
