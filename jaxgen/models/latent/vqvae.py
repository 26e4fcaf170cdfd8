r"""The autoencoder of VQ-VAE: strided convolutions, a stack of residual blocks, and the same way back.

    encoder: conv4/2 of c/2, conv4/2 of c, ..., conv3 of c, blocks
    decoder: conv3 of c, blocks, ..., conv4*2 of c/2, conv4*2 of the output
    block:   h + conv1(relu(conv3(relu(h))))

with relu between convolutions and behind the blocks. Source: van den Oord et al. 2017 (1711.00937), section 4.1, in the
layout of sonnet's example: c = 128, 2 halvings, 2 blocks of 32 channels.
"""

from functools import partial

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.latent.autoencoder import Autoencoder
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible


class Block(nn.Module):
    """h + conv1(relu(conv3(relu(h)))), [B, H, W, C], with `width` channels inside."""

    width: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        u = Conv(self.width, (3, 3), dtype=self.dtype)(nn.relu(h))
        return h + Conv(h.shape[-1], (1, 1), dtype=self.dtype)(nn.relu(u))


class Encoder(nn.Module):
    """[B, H, W, C] -> [B, H / 2^halvings, W / 2^halvings, channels]."""

    channels: int = 128
    halvings: int = 2
    blocks: int = 2
    width: int = 32
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        check_divisible(x, self.halvings + 1)
        h = x
        for level in range(self.halvings):
            features = self.channels if level else self.channels // 2
            h = nn.relu(Conv(features, (4, 4), strides=2, dtype=self.dtype, name=f"halve_{level}")(h))
        h = Conv(self.channels, (3, 3), dtype=self.dtype, name="conv")(h)
        for _ in range(self.blocks):
            h = rematerialized(Block, self.remat)(self.width, dtype=self.dtype)(h)
        return nn.relu(h)


class Decoder(nn.Module):
    """[B, h, w, D] -> [B, 2^halvings h, 2^halvings w, out_channels]; without halvings a last conv3 has these."""

    out_channels: int
    channels: int = 128
    halvings: int = 2
    blocks: int = 2
    width: int = 32
    dtype: DTypeLike | None = None
    remat: bool = False

    @property
    def last_layer(self) -> tuple[str, ...]:
        return f"double_{self.halvings - 1}" if self.halvings else "out", "kernel"

    @nn.compact
    def __call__(self, z: Array) -> Array:
        h = Conv(self.channels, (3, 3), dtype=self.dtype, name="conv")(z)
        for _ in range(self.blocks):
            h = rematerialized(Block, self.remat)(self.width, dtype=self.dtype)(h)
        h = nn.relu(h)
        double = partial(nn.ConvTranspose, kernel_size=(4, 4), strides=(2, 2), dtype=self.dtype)
        for level in range(self.halvings - 1):
            h = nn.relu(double(self.channels // 2, name=f"double_{level}")(h))
        if self.halvings:
            return double(self.out_channels, name=f"double_{self.halvings - 1}")(h)
        return Conv(self.out_channels, (3, 3), dtype=self.dtype, name="out")(h)


def vqvae(
    quantizer: nn.Module,
    out_channels: int,
    channels: int = 128,
    halvings: int = 2,
    blocks: int = 2,
    width: int = 32,
    dtype: DTypeLike | None = None,
    remat: bool = False,
) -> Autoencoder:
    """The whole, around any quantizer."""
    shared = channels, halvings, blocks, width, dtype, remat
    return Autoencoder(Encoder(*shared), quantizer, Decoder(out_channels, *shared), dtype)
