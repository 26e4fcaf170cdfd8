"""The blocks of VQGAN's encoder and decoder, which the autoencoders of latent diffusion share.

Source: Esser, Rombach, Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis" (2012.09841), table 7.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.attention import attention
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.resample import nearest_upsample


class ResnetBlock(nn.Module):
    """h + conv(silu(norm(conv(silu(norm(h)))))), with a 1x1 convolution on h where the number of channels changes."""

    features: int
    groups: int = 32
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        u = nn.silu(GroupNorm(self.dtype, self.groups, name="norm1")(h))
        u = Conv(self.features, (3, 3), dtype=self.dtype, name="conv1")(u)
        u = nn.silu(GroupNorm(self.dtype, self.groups, name="norm2")(u))
        u = Conv(self.features, (3, 3), dtype=self.dtype, name="conv2")(u)
        if h.shape[-1] != self.features:
            h = Conv(self.features, (1, 1), dtype=self.dtype, name="conv_shortcut")(h)
        return h + u


class Attention(nn.Module):
    """h + W_o softmax(q k^T / sqrt(C)) v over all pixels, one head, with q, k, v = W norm(h)."""

    groups: int = 32
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        b, height, width, c = h.shape
        u = GroupNorm(self.dtype, self.groups, name="group_norm")(h).reshape(b, -1, c)
        q, k, v = (nn.Dense(c, dtype=self.dtype, name=f"to_{name}")(u)[:, :, None] for name in "qkv")
        u = nn.Dense(c, dtype=self.dtype, name="to_out_0")(attention(q, k, v).reshape(b, -1, c))
        return h + u.reshape(h.shape)


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2 whose padding is all on the right and below: [B, H, W, C] -> [B, H/2, W/2, C]."""

    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        h = jnp.pad(h, ((0, 0), (0, 1), (0, 1), (0, 0)))
        return Conv(h.shape[-1], (3, 3), 2, padding="VALID", dtype=self.dtype, name="conv")(h)


class Upsample(nn.Module):
    """Every pixel four times, then a 3x3 convolution: [B, H, W, C] -> [B, 2H, 2W, C]."""

    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        return Conv(h.shape[-1], (3, 3), dtype=self.dtype, name="conv")(nearest_upsample(h))
