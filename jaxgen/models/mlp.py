"""A residual MLP for points and for images small enough to be flattened."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.embeddings import ConditionEmbedding
from jaxgen.models.layers.remat import rematerialized


class ResidualMLPBlock(nn.Module):
    """h + W2 drop(silu((1 + s) W1 norm(h) + b)) with (s, b) = W silu(emb); W2 starts at zero.

    h: [B, D]; emb: [B, E]; keys: [B] or None. Returns [B, D].
    """

    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, emb: Array, keys: Array | None = None) -> Array:
        width = h.shape[-1]
        scale, shift = jnp.split(nn.Dense(2 * width, dtype=self.dtype)(nn.silu(emb)), 2, axis=-1)
        u = nn.Dense(width, dtype=self.dtype)(nn.LayerNorm(dtype=self.dtype)(h))
        u = Dropout(self.dropout)(nn.silu(u * (1 + scale) + shift), keys)
        return h + nn.Dense(width, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(u)


class MLP(nn.Module):
    """y = F(x, t, c), zero at initialization: residual blocks on the flattened input.

    x: [B, D] or [B, H, W, C]; t: [B] time label, of the order of 1 to 1000 for embedding "positional", of the
    order of 1 for "fourier". cond: class labels int [B]; num_classes, or None for all, stands for "no class".
    keys: one dropout key per example [B], None: deterministic. Returns float32 of the shape of x. With `remat` blocks
    are computed again for their gradient, which saves memory.

    Source: He et al. 2016 (identity mappings), with the adaptive conditioning of Dhariwal and Nichol 2021.
    """

    width: int = 512
    blocks: int = 4
    dropout: float = 0.0
    num_classes: int = 0
    embedding: str = "positional"
    fourier_scale: float = 1.0
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        size = math.prod(x.shape[1:])
        emb = ConditionEmbedding(
            self.width // 2, self.embedding, self.fourier_scale, self.num_classes, dtype=self.dtype
        )(t, cond)
        h = nn.Dense(self.width, dtype=self.dtype)(x.reshape(-1, size))
        for _ in range(self.blocks):
            h = rematerialized(ResidualMLPBlock, self.remat)(self.dropout, dtype=self.dtype)(h, emb, keys)
        h = nn.silu(nn.LayerNorm(dtype=self.dtype)(h))
        y = nn.Dense(size, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(h)
        return y.reshape(x.shape).astype(jnp.promote_types(y.dtype, jnp.float32))
