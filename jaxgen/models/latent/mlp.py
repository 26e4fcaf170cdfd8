"""An autoencoder of fully connected layers, for images small enough to be flattened: its latents are a few vectors."""

import math
from collections.abc import Sequence

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.latent.autoencoder import Autoencoder
from jaxgen.models.layers.remat import rematerialized


class Block(nn.Module):
    """h + W2 silu(W1 norm(h)), [B, D]."""

    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        u = nn.Dense(h.shape[-1], dtype=self.dtype)(nn.LayerNorm(dtype=self.dtype)(h))
        return h + nn.Dense(h.shape[-1], dtype=self.dtype)(nn.silu(u))


class Encoder(nn.Module):
    """[B, ...] -> [B, vectors, width / vectors]."""

    vectors: int = 8
    width: int = 256
    blocks: int = 2
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.width % self.vectors:
            raise ValueError(f"expected a width divisible into {self.vectors} vectors, got {self.width}.")
        h = nn.Dense(self.width, dtype=self.dtype)(x.reshape(len(x), -1))
        for _ in range(self.blocks):
            h = rematerialized(Block, self.remat)(self.dtype)(h)
        return nn.LayerNorm(dtype=self.dtype)(h).reshape(len(x), self.vectors, -1)


class Decoder(nn.Module):
    """[B, ...] -> [B, *shape]."""

    shape: Sequence[int]
    width: int = 256
    blocks: int = 2
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array) -> Array:
        h = nn.Dense(self.width, dtype=self.dtype)(z.reshape(len(z), -1))
        for _ in range(self.blocks):
            h = rematerialized(Block, self.remat)(self.dtype)(h)
        y: Array = nn.Dense(math.prod(self.shape), dtype=self.dtype)(nn.LayerNorm(dtype=self.dtype)(h))
        return y.reshape(-1, *self.shape)


def mlp_autoencoder(
    quantizer: nn.Module,
    shape: tuple[int, int, int],
    out_channels: int,
    vectors: int = 8,
    width: int = 256,
    blocks: int = 2,
    dtype: DTypeLike | None = None,
    remat: bool = False,
) -> Autoencoder:
    """The whole, around any quantizer, for images of `shape` (H, W, C)."""
    encoder = Encoder(vectors, width, blocks, dtype, remat)
    return Autoencoder(encoder, quantizer, Decoder((*shape[:2], out_channels), width, blocks, dtype, remat), dtype)
