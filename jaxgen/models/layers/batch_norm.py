"""Batch normalization, plain and told a class.

    y = gamma (h - mean) / sqrt(var + epsilon) + beta

In training mean and var, [C], are those of the batch, over B, H and W, and the running ones, in the collection
"batch_stats", move: m <- 0.9 m + 0.1 mean, v <- 0.9 v + 0.1 var n / (n - 1) with n = B H W. In evaluation the running
ones are used. Moments are float32 for any compute dtype.

The batch is what one call sees. Under jit over a mesh that is the global batch, on any number of devices; under pmap
it is a device's share, and under gradient accumulation a part of the batch: their normalizations differ from those of
the whole batch, while the running statistics are averaged over the shares and parts.

Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2; classes as in de Vries et al. 2017 and
Dumoulin et al. 2017.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

MOMENTUM = 0.9


class Moments(nn.Module):
    """(mean, var), each [C] float32, of h [B, ..., C]: of the batch in training, else the running ones. A training pass
    shows those it normalizes by in the collection "moments", for whoever asks."""

    train: bool = False

    @nn.compact
    def __call__(self, h: Array) -> tuple[Array, Array]:
        dtype = jnp.promote_types(h.dtype, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, h.shape[-1:], dtype)
        running_var = self.variable("batch_stats", "var", jnp.ones, h.shape[-1:], dtype)
        if not self.train:
            return running_mean.value, running_var.value
        axes = tuple(range(h.ndim - 1))
        mean, var = jnp.mean(h.astype(dtype), axes), jnp.var(h.astype(dtype), axes)
        if not self.is_initializing():
            n = math.prod(h.shape[:-1])
            if self.is_mutable_collection("batch_stats"):
                for running, new in ((running_mean, mean), (running_var, var * n / max(n - 1, 1))):
                    running.value = MOMENTUM * running.value + (1 - MOMENTUM) * new
            for name, shown in (("mean", mean), ("var", var)):
                self.sow("moments", name, shown, reduce_fn=lambda old, new: new, init_fn=lambda: None)
        return mean, var


def normalize(h: Array, moments: tuple[Array, Array], gamma: Array, beta: Array, epsilon: float) -> Array:
    """gamma (h - mean) / sqrt(var + epsilon) + beta in float32: one multiply-add over h."""
    mean, var = moments
    gain = gamma * lax.rsqrt(var + epsilon)
    return h.astype(jnp.promote_types(h.dtype, jnp.float32)) * gain + (beta - mean * gain)


class BatchNorm(nn.Module):
    """h: [B, ..., C] -> the same, with parameters gamma and beta [C]. The class y is not looked at."""

    train: bool = False
    epsilon: float = 1e-5
    scale_init: nn.initializers.Initializer = nn.initializers.ones_init()
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, y: Array | None = None) -> Array:
        gamma = self.param("scale", self.scale_init, h.shape[-1:])
        beta = self.param("bias", nn.initializers.zeros_init(), h.shape[-1:])
        out = normalize(h, Moments(self.train)(h), gamma, beta, self.epsilon)
        return out.astype(self.dtype or h.dtype)


class ConditionalBatchNorm(nn.Module):
    """gamma = 1 + g(y), beta = b(y): h [B, H, W, C] -> the same.

    linear(C, name=...) makes g and b: an embedding of labels y [B], or a linear map of a vector y [B, E].
    """

    linear: Callable[..., nn.Module]
    train: bool = False
    epsilon: float = 1e-5
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, y: Array) -> Array:
        channels, pixels = h.shape[-1], (1,) * (h.ndim - 2)
        gain, bias = (
            self.linear(channels, name=name)(y).reshape(-1, *pixels, channels).astype(jnp.promote_types(h.dtype, "f4"))
            for name in ("gain", "bias")
        )
        out = normalize(h, Moments(self.train)(h), 1 + gain, bias, self.epsilon)
        return out.astype(self.dtype or h.dtype)
