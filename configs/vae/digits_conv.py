"""A convolutional VAE on the 8x8 digits, with the loss and the data of `digits.py`.

jaxgen train --config=configs/vae/digits_conv.py --workdir=runs/vae_digits_conv
jaxgen likelihood --workdir=runs/vae_digits_conv
"""

from ml_collections import ConfigDict

from jaxgen.configuration import call, derive


def get_config() -> ConfigDict:
    config = derive(__file__, "digits.py")
    config.encoder = call("conv_encoder", latent=16, widths=(32, 64), blocks=1, dropout=0.1)
    config.decoder = call("conv_decoder", widths=(32, 64), blocks=1, dropout=0.3)
    return config
