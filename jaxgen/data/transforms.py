"""Invertible maps between pixel levels and model space, with the log-determinant that a likelihood needs.

    log p(x) = log p(z) + log |det dz/dx|,    z = forward(x)

x counts levels: the integer k, dequantized, lies anywhere in [k, k + 1), so that x fills [0, levels).
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Bijection(NamedTuple):
    """z = forward(x), x = inverse(z) and log_det(x) = log |det dz/dx| in nats, summed per example.

    x, z: [B, ...] float; log_det: [B]. All three are pure and run under jit.
    """

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    log_det: Callable[[Array], Array]


def affine(levels: float, low: float = -1.0, high: float = 1.0) -> Bijection:
    """z = low + (high - low) x / levels, log_det = D log((high - low) / levels).

    It takes [0, levels) to [low, high). Integers without noise fill [low, high] with `affine(levels - 1)`.
    """
    slope = (high - low) / levels

    def log_det(x: Array) -> Array:
        return per_example(jnp.full_like(real(x), math.log(slope)))

    return Bijection(lambda x: low + slope * real(x), lambda z: (real(z) - low) / slope, log_det)


def logit(levels: float, alpha: float = 0.02) -> Bijection:
    """z = log p - log(1 - p) with p = alpha + (1 - 2 alpha) x / levels: unbounded pixels.

    log_det = sum log((1 - 2 alpha) / levels) - log p - log(1 - p). Dinh, Sohl-Dickstein, Bengio 2017 ("Real NVP"),
    section 4.1, with (1 - alpha); Papamakarios, Pavlakou, Murray 2017: alpha 1e-6 for MNIST, 0.05 for CIFAR-10.
    """
    slope = (1 - 2 * alpha) / levels

    def probability(x: Array) -> Array:
        return alpha + slope * real(x)

    def forward(x: Array) -> Array:
        p = probability(x)
        return jnp.log(p) - jnp.log1p(-p)

    def log_det(x: Array) -> Array:
        p = probability(x)
        return per_example(math.log(slope) - jnp.log(p) - jnp.log1p(-p))

    return Bijection(forward, lambda z: (jax.nn.sigmoid(real(z)) - alpha) / slope, log_det)


def around(levels: float) -> Bijection:
    """z = x - 1/2, log_det = 0: bins one level wide, each with its level in the middle."""
    return affine(levels, -0.5, levels - 0.5)


def between(levels: float) -> Bijection:
    """z = x (levels - 1) / levels, log_det = D log((levels - 1) / levels): equal bins that fill [0, levels - 1], from
    the lowest level to the highest. The bin of the lowest begins at it, that of the highest ends there."""
    return affine(levels, 0.0, levels - 1.0)


def center(mean: Array) -> Bijection:
    """z = x - mean, log_det = 0. `mean` is per pixel, [H, W, C], in the space where the map stands."""
    return Bijection(lambda x: real(x) - mean, lambda z: real(z) + mean, lambda x: per_example(jnp.zeros_like(real(x))))


def chain(*bijections: Bijection) -> Bijection:
    """The bijections one after the other, the first next to the data; their log-determinants add up."""

    def forward(x: Array) -> Array:
        return reduce(lambda value, bijection: bijection.forward(value), bijections, real(x))

    def inverse(z: Array) -> Array:
        return reduce(lambda value, bijection: bijection.inverse(value), reversed(bijections), real(z))

    def log_det(x: Array) -> Array:
        x, total = real(x), jnp.zeros(x.shape[0], real(x).dtype)
        for bijection in bijections:
            x, total = bijection.forward(x), total + bijection.log_det(x)
        return total

    return Bijection(forward, inverse, log_det)


def dequantize(keys: Array, x: Array) -> Array:
    """x + u, u ~ U[0, 1)^D: integers [B, ...] -> float [B, ...], each example noised by its own key of `keys` [B].

    With it E_u log p(x + u) <= log P(x) bounds the discrete likelihood (Theis, van den Oord, Bethge 2016, section 3.1).
    The sum stays below x + 1 also where float32 would round it up.
    """
    x = real(x)
    noise = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:], x.dtype))(keys)
    return jnp.minimum(x + noise, jnp.nextafter(x + 1, x))


def quantize(x: Array, levels: int) -> Array:
    """floor(x) within 0 .. levels-1, whole numbers in the type of x: undoes `dequantize`. Where x is not finite, NaN,
    which a cast to integers would make a level like any other.

    On values around integers without noise it cuts off their fractions, as casts to integers do.
    """
    return jnp.where(jnp.isfinite(x), jnp.clip(jnp.floor(x), 0, levels - 1), jnp.nan)


def nearest(x: Array, levels: int) -> Array:
    """floor(x + 1/2) within 0 .. levels-1, as `quantize`: the level next to values around integers without
    noise."""
    return quantize(x + 0.5, levels)


def real(x: Array) -> Array:
    """Integers as floats of JAX's default width; floats as they are."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def per_example(x: Array) -> Array:
    """[B, ...] -> [B], the sum over all but the first axis."""
    return x.reshape(x.shape[0], -1).sum(-1)
