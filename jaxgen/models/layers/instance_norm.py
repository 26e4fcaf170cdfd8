"""Normalization of every image and channel by itself: instance normalization++, alone or told a noise level, and
variance normalization.

    InstanceNorm++(h) = gamma (h_hat + alpha m_hat) + beta

h_hat is h with mean 0 and variance 1 over the pixels of each channel, m_hat the removed means, themselves brought to
mean 0 and variance 1 over the channels. `unbiased` variances divide by n - 1: over the channels in InstanceNorm++, over
the pixels in variance normalization. The moments are float32 for any compute dtype.

Source: Song and Ermon 2019, "Generative Modeling by Estimating Gradients of the Data Distribution", appendix A.1.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

EPSILON = 1e-5


def around_one(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """N(1, 0.02^2)."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def gains_and_shift(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
    """[levels, 3 C]: gamma and alpha around one, beta zero."""
    levels, width = shape
    gains = around_one(key, (levels, width // 3 * 2), dtype)
    return jnp.pad(gains, ((0, 0), (0, width - gains.shape[1])))


def standardize(h: Array, axes: int | tuple[int, ...], unbiased: bool = False) -> tuple[Array, Array]:
    """(h - mean) / sqrt(var + epsilon) over `axes`, and the mean."""
    mean = jnp.mean(h, axes, keepdims=True)
    var = jnp.var(h, axes, keepdims=True, ddof=int(unbiased))
    return (h - mean) * lax.rsqrt(var + EPSILON), mean


def instance_norm_plus(h: Array, gamma: Array, alpha: Array, beta: Array, unbiased: bool) -> Array:
    """h: [B, H, W, C]; gamma, alpha, beta broadcast to [B, 1, 1, C]."""
    x = h.astype(jnp.promote_types(h.dtype, jnp.float32))
    normal, means = standardize(x, (1, 2))
    return gamma * (normal + alpha * standardize(means, -1, unbiased)[0]) + beta


class InstanceNorm2dPlus(nn.Module):
    """h: [B, H, W, C] -> [B, H, W, C], InstanceNorm++ with parameters alpha, gamma, beta [C]."""

    unbiased: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        shape = h.shape[-1:]
        alpha, gamma = self.param("alpha", around_one, shape), self.param("gamma", around_one, shape)
        beta = self.param("beta", nn.initializers.zeros_init(), shape)
        return instance_norm_plus(h, gamma, alpha, beta, self.unbiased).astype(self.dtype or h.dtype)


class ConditionalInstanceNorm2dPlus(nn.Module):
    """InstanceNorm++ whose gamma, alpha, beta, in this order, are a row [3 C] of an embedding of `levels` rows.

    h: [B, H, W, C]; index: int [B]. Returns [B, H, W, C].
    """

    levels: int
    unbiased: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, index: Array) -> Array:
        rows = nn.Embed(self.levels, 3 * h.shape[-1], embedding_init=gains_and_shift)(index)
        gamma, alpha, beta = jnp.split(rows[:, None, None, :], 3, axis=-1)
        return instance_norm_plus(h, gamma, alpha, beta, self.unbiased).astype(self.dtype or h.dtype)


class VarianceNorm2d(nn.Module):
    """alpha h / sqrt(var + epsilon), the variance over the pixels of each channel; h: [B, H, W, C]."""

    unbiased: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        alpha = self.param("alpha", around_one, h.shape[-1:])
        x = h.astype(jnp.promote_types(h.dtype, jnp.float32))
        var = jnp.var(x, (1, 2), keepdims=True, ddof=int(self.unbiased))
        return (alpha * x * lax.rsqrt(var + EPSILON)).astype(self.dtype or h.dtype)
