"""Convolutional encoder and decoder: residual blocks at every resolution, and a dense layer to and from the latent.

    encoder   x -> conv -> [blocks, halving] ... blocks -> dense -> q(z | x)
    decoder   z -> dense -> blocks [doubling, blocks] ... -> norm, silu, conv -> parameters of the likelihood

The places of an image differ (the corners of a digit are empty), so every block of the decoder also adds an image of
its own biases, [H, W, C]. A class joins as an embedding: beside the features before the last layer of the encoder, and
beside z in the decoder. Keys are of dropout, one per example; None: none.

Source: the residual blocks of Ho et al. 2020 (DDPM), without time; Sohn et al. 2015 for the class.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible, mean_downsample, nearest_upsample


class Block(nn.Module):
    """W x + conv(drop(silu(norm(conv(silu(norm(x))) + places)))), [B, H, W, C] -> [B, H, W, features]; the last
    convolution starts at zero, and W is the identity where C = features."""

    features: int
    dropout: float = 0.0
    places: bool = False
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> Array:
        conv = partial(Conv, self.features, (3, 3), dtype=self.dtype)
        h = conv()(nn.silu(GroupNorm(dtype=self.dtype)(x)))
        if self.places:
            h += self.param("places", nn.initializers.zeros_init(), h.shape[1:]).astype(h.dtype)
        h = Dropout(self.dropout)(nn.silu(GroupNorm(dtype=self.dtype)(h)), keys)
        h = conv(kernel_init=nn.initializers.zeros_init())(h)
        return h + (x if x.shape[-1] == self.features else Conv(self.features, (1, 1), dtype=self.dtype)(x))


class ConvEncoder(nn.Module):
    """q(z | x): x [B, H, W, C] -> mean [B, latent] and log standard deviation [B, latent].

    widths: channels at the resolution of the image and at each half of it that follows; blocks: at every resolution.
    """

    latent: int = 64
    num_classes: int = 0
    widths: Sequence[int] = (64, 128, 256)
    blocks: int = 2
    dropout: float = 0.0
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None) -> tuple[Array, Array]:
        check_divisible(x, len(self.widths))
        told = labels(cond, self.num_classes, len(x))
        h = Conv(self.widths[0], (3, 3), dtype=self.dtype)(x)
        for i, width in enumerate(self.widths):
            h = mean_downsample(h) if i else h
            for _ in range(self.blocks):
                h = rematerialized(Block, self.remat)(width, self.dropout, dtype=self.dtype)(h, keys)
        h = nn.silu(GroupNorm(dtype=self.dtype)(h)).reshape(len(x), -1)
        if told is not None:
            h = jnp.concatenate([h, nn.Embed(self.num_classes, self.num_classes, dtype=self.dtype)(told)], axis=-1)
        y = nn.Dense(2 * self.latent, dtype=self.dtype)(Dropout(self.dropout)(h, keys))
        mean, log_std = jnp.split(y.astype(jnp.promote_types(y.dtype, jnp.float32)), 2, axis=-1)
        return mean, log_std


class ConvDecoder(nn.Module):
    """z [B, latent] -> parameters of the likelihood [B, H, W, out_channels] of images of `shape`; widths as those of
    the encoder, from the image down."""

    shape: tuple[int, int, int]
    out_channels: int
    num_classes: int = 0
    widths: Sequence[int] = (64, 128, 256)
    blocks: int = 2
    dropout: float = 0.0
    places: bool = True
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        factor = 2 ** (len(self.widths) - 1)
        height, width, _ = self.shape
        check_divisible(jnp.zeros((1, *self.shape)), len(self.widths))
        told = labels(cond, self.num_classes, len(z))
        if told is not None:
            z = jnp.concatenate([z, nn.Embed(self.num_classes, self.num_classes)(told)], axis=-1)
        start = height // factor, width // factor, self.widths[-1]
        h = nn.Dense(start[0] * start[1] * start[2], dtype=self.dtype)(z).reshape(-1, *start)
        for i, features in enumerate(reversed(self.widths)):
            h = nearest_upsample(h) if i else h
            for _ in range(self.blocks):
                block = rematerialized(Block, self.remat)(features, self.dropout, self.places, dtype=self.dtype)
                h = block(h, keys)
        h = Dropout(self.dropout)(nn.silu(GroupNorm(dtype=self.dtype)(h)), keys)
        y = Conv(self.out_channels, (3, 3), dtype=self.dtype)(h)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))
