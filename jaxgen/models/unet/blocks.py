"""The building blocks of DDPM, DDPM++ and NCSN++: residual blocks, resamplers and the combination of pyramids.

Class names are the names of the published parameter trees. Source: Song et al. 2021, "Score-Based Generative
Modeling through Stochastic Differential Equations", appendix H.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.attention import NIN
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.initializers import fan_avg
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.resample import (
    downsample_conv,
    fir_downsample,
    fir_upsample,
    mean_downsample,
    nearest_upsample,
    upsample_conv,
)


def conv(features: int, size: int = 3, init_scale: float = 1.0, dtype: DTypeLike | None = None) -> nn.Conv:
    """A size x size convolution with the initializer of the score networks."""
    return Conv(features, (size, size), kernel_init=fan_avg(init_scale), dtype=dtype)


def add_skip(x: Array, h: Array, rescale: bool) -> Array:
    """x + h, or (x + h) / sqrt(2), which keeps the variance of independent terms."""
    return (x + h) * (0.5**0.5) if rescale else x + h


class Conv2d(nn.Module):
    """A convolution fused with a FIR resampler: y = resample(x, weight) + bias, weight [k, k, C, features]."""

    features: int
    resample: Callable[[Array, Array, Sequence[float]], Array]
    fir_kernel: Sequence[float]
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        w = self.param("weight", fan_avg(), (3, 3, x.shape[-1], self.features))
        b = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        x, w, b = nn.dtypes.promote_dtype(x, w, b, dtype=self.dtype)
        return self.resample(x, w, self.fir_kernel) + b


class Upsample(nn.Module):
    """[B, H, W, C] -> [B, 2H, 2W, C or features]: FIR or nearest, with a 3x3 convolution if features is given."""

    features: int | None = None
    fir: bool = False
    fir_kernel: Sequence[float] = (1, 3, 3, 1)
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.features is None:
            return fir_upsample(x, self.fir_kernel) if self.fir else nearest_upsample(x)
        if self.fir:
            return Conv2d(self.features, upsample_conv, self.fir_kernel, dtype=self.dtype)(x)
        return conv(self.features, dtype=self.dtype)(nearest_upsample(x))


class Downsample(nn.Module):
    """[B, H, W, C] -> [B, H/2, W/2, C or features]: FIR or mean, or a 3x3 convolution if features is given."""

    features: int | None = None
    fir: bool = False
    fir_kernel: Sequence[float] = (1, 3, 3, 1)
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.features is None:
            return fir_downsample(x, self.fir_kernel) if self.fir else mean_downsample(x)
        if self.fir:
            return Conv2d(self.features, downsample_conv, self.fir_kernel, dtype=self.dtype)(x)
        return Conv(self.features, (3, 3), 2, ((0, 1), (0, 1)), kernel_init=fan_avg(), dtype=self.dtype)(x)


class Combine(nn.Module):
    """The image pyramid x joins the features h: W x + h (method "sum") or [W x, h] (method "cat")."""

    method: str = "sum"
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, h: Array) -> Array:
        x = conv(h.shape[-1], 1, dtype=self.dtype)(x)
        return x + h if self.method == "sum" else jnp.concatenate([x, h], axis=-1)


class ResidualBlock(nn.Module):
    """skip(x) + conv(drop(act(norm(conv(resample(act(norm(x)))) + W act(temb))))): the body of both blocks.

    x: [B, H, W, C]; temb: [B, E] or None; keys: [B] dropout keys or None. resample, where given, acts on both
    branches; groups are those of the norms. Returns [B, H', W', features].
    """

    features: int
    act: Callable[[Array], Array] = nn.silu
    dropout: float = 0.0
    skip_rescale: bool = False
    init_scale: float = 0.0
    resample: Callable[[Array], Array] | None = None
    groups: int | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, temb: Array | None = None, keys: Array | None = None) -> Array:
        h = self.act(GroupNorm(self.dtype, self.groups)(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = conv(self.features, dtype=self.dtype)(h)
        if temb is not None:
            bias = nn.Dense(self.features, kernel_init=fan_avg(), dtype=self.dtype)(self.act(temb))
            h += bias[:, None, None, :]
        h = self.act(GroupNorm(self.dtype, self.groups)(h))
        h = Dropout(self.dropout)(h, keys)
        h = conv(self.features, init_scale=self.init_scale, dtype=self.dtype)(h)
        return add_skip(self.shortcut(x), h, self.skip_rescale)


class ResnetBlockDDPMpp(ResidualBlock):
    """The residual block of DDPM++, whose skip is a linear map where the number of channels changes."""

    def shortcut(self, x: Array) -> Array:
        return x if x.shape[-1] == self.features else NIN(self.features, dtype=self.dtype)(x)


class ResnetBlockDDPM(ResnetBlockDDPMpp):
    """The same block as DDPM has it: its norms always have 32 groups."""

    groups: int | None = 32


class ResnetBlockBigGANpp(ResidualBlock):
    """The residual block of BigGAN, which also resamples; its skip is then always a 1x1 convolution."""

    def shortcut(self, x: Array) -> Array:
        same = x.shape[-1] == self.features and self.resample is None
        return x if same else conv(self.features, 1, dtype=self.dtype)(x)
