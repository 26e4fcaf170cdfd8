"""The VQ-VAE of digits.py, whose decoder is a likelihood of the 17 levels: a model of its codes bounds that of images.

jaxgen train --config=configs/vqvae/digits_categorical.py --workdir=runs/vqvae_digits_categorical
jaxgen evaluate --workdir=runs/vqvae_digits_categorical --metrics=reconstruction

Measured with seed 0 on the 360 test images: PSNR 22.9 dB, all 64 codes in use with perplexity 56.
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits.py")
    config.loss.reconstruction = call("categorical")
    return config
