"""The building blocks of NCSN: residual blocks with dilated convolutions, and the refine blocks that join resolutions.

Every block takes `norm`, a function h -> h that makes a norm of its own wherever it is called: one told the noise level
in NCSN, none in the refine blocks of NCSNv2.

Source: Lin et al. 2017, "RefineNet", section 3.2; Song and Ermon 2019, "Generative Modeling by Estimating Gradients of
the Data Distribution", appendix A. Class names are the names of the published parameter trees.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.initializers import symmetric_uniform
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import bilinear_resize, mean_downsample

Function = Callable[[Array], Array]


def identity(h: Array) -> Array:
    """No norm."""
    return h


def max_pool(h: Array) -> Array:
    """The largest of every 5x5 window, [B, H, W, C] -> [B, H, W, C]."""
    return nn.max_pool(h, (5, 5), padding="SAME")


def mean_pool(h: Array) -> Array:
    """The mean of every 5x5 window, with zeros outside, [B, H, W, C] -> [B, H, W, C]."""
    return nn.avg_pool(h, (5, 5), padding="SAME")


def conv(
    h: Array, features: int, size: int = 3, dilation: int = 1, bias: bool = True, dtype: DTypeLike | None = None
) -> Array:
    """A size x size convolution of h [B, H, W, C]; kernel and bias start in U(-1/sqrt(n), 1/sqrt(n)), n = size^2 C."""
    init = symmetric_uniform((size * size * h.shape[-1]) ** -0.5)
    layer = Conv(
        features,
        (size, size),
        kernel_dilation=dilation,
        use_bias=bias,
        kernel_init=init,
        bias_init=init,
        dtype=dtype,
    )
    y: Array = layer(h)
    return y


class ConvMeanPool(nn.Module):
    """The mean of every 2x2 block of a convolution, [B, H, W, C] -> [B, H/2, W/2, features]."""

    features: int
    size: int = 3
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return mean_downsample(conv(x, self.features, self.size, dtype=self.dtype))


class ResidualBlock(nn.Module):
    """skip(x) + conv(act(norm(conv(act(norm(x)))))), dilated.

    x: [B, H, W, C]. A block that `opens` a level changes the number of channels and, if it is not dilated, halves the
    resolution; its skip is then a convolution too. Returns [B, H', W', features].
    """

    features: int
    opens: bool = False
    dilation: int = 1
    act: Function = nn.elu
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, norm: Function) -> Array:
        halve = partial(ConvMeanPool, self.features, dtype=self.dtype)
        layer = partial(conv, dilation=self.dilation, dtype=self.dtype)
        h = layer(self.act(norm(x)), x.shape[-1])
        h = self.act(norm(h))
        if not self.opens:
            return x + layer(h, self.features)
        if self.dilation > 1:
            h = layer(h, self.features)
            return layer(x, self.features) + h
        h = halve()(h)
        return halve(1)(x) + h


class RCUBlock(nn.Module):
    """The residual convolution unit, x <- x + conv(act(norm(conv(act(norm(x)))))), `blocks` times; x: [B, H, W, C]."""

    blocks: int
    act: Function = nn.elu
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, norm: Function = identity) -> Array:
        for _ in range(self.blocks):
            h = x
            for _ in range(2):
                h = conv(self.act(norm(h)), x.shape[-1], bias=False, dtype=self.dtype)
            x = x + h
        return x


class MSFBlock(nn.Module):
    """Multi-resolution fusion: sum_i resize(conv_i(norm(x_i))), at the resolution of the first.

    x_i: [B, H_i, W_i, C_i]. align_corners tells how the others are enlarged (`bilinear_resize`).
    Returns [B, H_0, W_0, features].
    """

    features: int
    align_corners: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, xs: Sequence[Array], norm: Function = identity) -> Array:
        height, width = xs[0].shape[1:3]
        hs = [conv(norm(x), self.features, dtype=self.dtype) for x in xs]
        hs = [bilinear_resize(h, height, width, self.align_corners) for h in hs]
        return sum(hs[1:], hs[0])


class CRPBlock(nn.Module):
    """Chained residual pooling: h_0 + h_1 + h_2 with h_0 = act(x) and h_i = conv(pool(norm(h_{i-1}))).

    x: [B, H, W, C]. Returns [B, H, W, C].
    """

    pool: Function = max_pool
    act: Function = nn.elu
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, norm: Function = identity) -> Array:
        h = x = self.act(x)
        for _ in range(2):
            h = conv(self.pool(norm(h)), x.shape[-1], bias=False, dtype=self.dtype)
            x = x + h
        return x


class RefineBlock(nn.Module):
    """RCU(CRP(MSF(RCU(x_0), RCU(x_1)))), without MSF for a single input; the `last` ends in three RCUs.

    xs: feature maps [B, H_i, W_i, C_i], the finest first. Returns [B, H_0, W_0, features].
    """

    features: int
    last: bool = False
    pool: Function = max_pool
    act: Function = nn.elu
    align_corners: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, xs: Sequence[Array], norm: Function = identity) -> Array:
        unit = partial(RCUBlock, act=self.act, dtype=self.dtype)
        hs = [unit(2)(x, norm) for x in xs]
        h = MSFBlock(self.features, self.align_corners, self.dtype)(hs, norm) if len(hs) > 1 else hs[0]
        h = CRPBlock(self.pool, self.act, self.dtype)(h, norm)
        y: Array = unit(3 if self.last else 1)(h, norm)
        return y


def refine_net(
    x: Array,
    widths: Sequence[int],
    dilations: Sequence[int],
    refined: Sequence[int],
    norm: Function,
    refine_norm: Function = identity,
    pool: Function = max_pool,
    act: Function = nn.elu,
    align_corners: bool = True,
    dtype: DTypeLike | None = None,
    remat: bool = False,
) -> Array:
    """Levels of residual blocks down, of `widths` and `dilations`, and refine blocks up, of widths `refined`.

    x: [B, H, W, C], halved at every level but the first whose dilation is 1. Called within the compact method of a
    module, which owns the layers. Returns [B, H, W, C], float32 at least.
    """
    block = partial(rematerialized(ResidualBlock, remat, functions=(2,)), act=act, dtype=dtype)
    refine = rematerialized(RefineBlock, remat, functions=(2,))
    h, levels = conv(x, widths[0], dtype=dtype), []
    for level, (width, dilation) in enumerate(zip(widths, dilations, strict=True)):
        h = block(width, level > 0, dilation)(h, norm)
        h = block(width, False, dilation)(h, norm)
        levels.append(h)
    xs: list[Array] = []
    for level, width in zip(reversed(range(len(widths))), refined, strict=True):
        h = refine(width, level == 0, pool, act, align_corners, dtype)([levels[level], *xs], refine_norm)
        xs = [h]
    y = conv(act(norm(h)), x.shape[-1], dtype=dtype)
    return y.astype(jnp.promote_types(y.dtype, jnp.float32))
