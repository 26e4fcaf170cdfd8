r"""The autoencoder of DALL-E's discrete VAE: groups of bottleneck blocks, with max-pooling and doubling between them.

    block: id(h) + conv(relu(conv(relu(conv(relu(conv(relu(h)))))))) / L^2,   L the number of blocks

Encoder blocks are conv3, conv3, conv3, conv1, decoder blocks conv1, conv3, conv3, conv3, a quarter as wide inside; id
is a conv1 where the width changes. Group g of the encoder has 2^g times `channels`; the decoder goes the way back.

Source: Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation" (2102.12092), appendix A.1; the published networks have
channels = 256, 2 blocks a group, 4 groups, 8192 codes.
"""

from collections.abc import Sequence

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.latent.autoencoder import Autoencoder
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible, nearest_upsample


class Block(nn.Module):
    """id(h) + gain res(h), [B, H, W, C] -> [B, H, W, features]; `kernels` are the sizes of the convolutions."""

    features: int
    kernels: Sequence[int]
    gain: float
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        widths = [self.features // 4] * (len(self.kernels) - 1) + [self.features]
        u = h
        for i, (size, features) in enumerate(zip(self.kernels, widths, strict=True)):
            u = Conv(features, (size, size), dtype=self.dtype, name=f"conv_{i}")(nn.relu(u))
        same = h.shape[-1] == self.features
        return (h if same else Conv(self.features, (1, 1), dtype=self.dtype, name="id")(h)) + self.gain * u


class Encoder(nn.Module):
    """[B, H, W, C] -> [B, H / 2^(groups - 1), W / 2^(groups - 1), 2^(groups - 1) channels]."""

    channels: int = 256
    blocks: int = 2
    groups: int = 4
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        check_divisible(x, self.groups)
        block, gain = rematerialized(Block, self.remat), (self.blocks * self.groups) ** -2
        h = Conv(self.channels, (7, 7), dtype=self.dtype, name="in")(x)
        for group in range(self.groups):
            h = nn.max_pool(h, (2, 2), (2, 2)) if group else h
            for i in range(self.blocks):
                name = f"group_{group}_block_{i}"
                h = block(2**group * self.channels, (3, 3, 3, 1), gain, self.dtype, name=name)(h)
        return nn.relu(h)


class Decoder(nn.Module):
    """[B, h, w, K] -> [B, 2^(groups - 1) h, 2^(groups - 1) w, out_channels], by way of `start` channels."""

    out_channels: int
    start: int = 128
    channels: int = 256
    blocks: int = 2
    groups: int = 4
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array) -> Array:
        block, gain = rematerialized(Block, self.remat), (self.blocks * self.groups) ** -2
        h = Conv(self.start, (1, 1), dtype=self.dtype, name="in")(z)
        for group in range(self.groups):
            h = nearest_upsample(h) if group else h
            for i in range(self.blocks):
                features = 2 ** (self.groups - 1 - group) * self.channels
                h = block(features, (1, 3, 3, 3), gain, self.dtype, name=f"group_{group}_block_{i}")(h)
        return Conv(self.out_channels, (1, 1), dtype=self.dtype, name="out")(nn.relu(h))


def dvae(
    quantizer: nn.Module,
    out_channels: int,
    channels: int = 256,
    blocks: int = 2,
    groups: int = 4,
    start: int = 128,
    dtype: DTypeLike | None = None,
    remat: bool = False,
) -> Autoencoder:
    """The whole, around any quantizer; DALL-E's is `GumbelQuantizer`."""
    shared = channels, blocks, groups, dtype, remat
    return Autoencoder(Encoder(*shared), quantizer, Decoder(out_channels, start, *shared), dtype)
