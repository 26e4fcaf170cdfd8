"""Pre-norm transformer blocks in which a position sees every other, or those that a mask lets it see.

    h <- h + W_o attention(LN h),   h <- h + F(LN h)

Source: Vaswani et al. 2017; before images, Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words" (2010.11929), eq.
(2) and (3).
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgen.models.layers.attention import attention
from jaxgen.models.layers.causal_attention import gelu
from jaxgen.models.layers.conv import Conv


class Attention(nn.Module):
    """W_o attention(W_q h, W_k h, W_v h), [B, T, width] -> the same; mask [T, T], see `attention`. heads must divide
    the width."""

    heads: int

    @nn.compact
    def __call__(self, h: Array, mask: Array | None = None) -> Array:
        b, t, width = h.shape
        q, k, v = (nn.Dense(width, name=name)(h).reshape(b, t, self.heads, -1) for name in ("query", "key", "value"))
        return nn.Dense(width, name="out")(attention(q, k, v, mask).reshape(h.shape))


class Feedforward(nn.Module):
    """F = W_2 f(W_1 h), `hidden` features between."""

    hidden: int
    nonlinearity: Callable[[Array], Array] = gelu

    @nn.compact
    def __call__(self, h: Array) -> Array:
        y = self.nonlinearity(nn.Dense(self.hidden, name="expand")(h))
        return nn.Dense(h.shape[-1], name="contract")(y)


class SwiGLU(nn.Module):
    """F = W_2 (silu(W_g h) W_1 h), `hidden` features between (Shazeer 2020, 2002.05202, eq. 6, with biases)."""

    hidden: int

    @nn.compact
    def __call__(self, h: Array) -> Array:
        y = nn.silu(nn.Dense(self.hidden, name="gate")(h)) * nn.Dense(self.hidden, name="expand")(h)
        return nn.Dense(h.shape[-1], name="contract")(y)


class Block(nn.Module):
    """[B, T, width] -> the same; feedforward() makes F."""

    heads: int
    feedforward: Callable[..., nn.Module]
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, h: Array, mask: Array | None = None) -> Array:
        norm = partial(nn.LayerNorm, epsilon=self.epsilon, use_fast_variance=False)
        h = h + Attention(self.heads, name="attention")(norm(name="norm1")(h), mask)
        y: Array = self.feedforward(name="feedforward")(norm(name="norm2")(h))
        return h + y


class Patches(nn.Module):
    """x [B, H, W, C] -> [B, 1 + (H / patch) (W / patch), width]: a learned token, then a linear map of every patch in
    raster order. patch must divide H and W."""

    width: int
    patch: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        window = (self.patch, self.patch)
        y = Conv(self.width, window, window, "VALID", use_bias=self.use_bias, name="map")(x)
        token = self.param("token", nn.initializers.normal(0.02), (self.width,))
        first = jnp.broadcast_to(token.astype(y.dtype), (len(x), 1, self.width))
        return jnp.concatenate([first, y.reshape(len(x), -1, self.width)], axis=1)
