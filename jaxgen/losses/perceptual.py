r"""Perceptual distances: how far apart two images are to the inside of a network.

    d(x, y) = sum_l mean_{h,w} sum_c w_lc (f_l(x) / ||f_l(x)|| - f_l(y) / ||f_l(y)||)^2

with features f_l [B, h, w, C_l], norms over channels, and weights w_l >= 0 [C_l]: those of LPIPS (`evaluate.lpips`), or
ones.

Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (1801.03924), eq. 1.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array

from jaxgen.losses.algebra import Params
from jaxgen.losses.root import root

Distance = Callable[[Params, Array, Array], Array]  # (params, x, y), images [B, H, W, C] in [-1, 1] -> [B]
EPSILON = 1e-10


def distance(of_x: Sequence[Array], of_y: Sequence[Array], weights: Sequence[Array | float]) -> Array:
    """d [B] of features [B, ..., C_l], twice."""
    return jnp.sum(layers(maps(of_x, of_y, weights)), axis=0)


def layers(of: Sequence[Array]) -> Array:
    """The terms of the sum over l, [L, B], of `maps`."""
    return jnp.stack([jnp.mean(each, axis=tuple(range(1, each.ndim))) for each in of])


def maps(of_x: Sequence[Array], of_y: Sequence[Array], weights: Sequence[Array | float]) -> list[Array]:
    """The sums over c at every pixel of every layer, [B, ...]."""
    pairs = zip(of_x, of_y, weights, strict=True)
    return [jnp.sum(w * jnp.square(unit(a) - unit(b)), axis=-1) for a, b, w in pairs]


def unit(f: Array) -> Array:
    """f / (||f|| + epsilon) over the last axis, with gradient 0 at 0."""
    return f / (root(jnp.sum(jnp.square(f), axis=-1, keepdims=True)) + EPSILON)
