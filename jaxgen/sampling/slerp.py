"""Interpolation between latent variables along great circles.

    slerp(a, b, w) = (sin((1 - w) omega) a + sin(w omega) b) / sin(omega),    cos(omega) = <a, b> / (|a| |b|)

Between draws of a Gaussian in many dimensions it stays where draws are, near the sphere of radius sqrt(D), which a
straight line leaves. Opposite vectors have no shortest arc between them: as for parallel ones, the way is the straight
line, which then goes through zero. Of latent variables that are not Gaussian (features of an autoencoder, whose length
means something) it says nothing better than a straight line does: the length of what lies between is not that of
either end.

Source: White 2016, "Sampling Generative Networks", section 2.1.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

PARALLEL = 1e-4  # sin(omega) below which the way is a straight line


def slerp(a: Any, b: Any, weight: Array) -> Any:
    """The points `weight` [T] in [0, 1] of the way from a to b, pytrees of one shape, leaf by leaf: [T, ...]."""
    return jax.tree.map(lambda x, y: _leaf(x, y, weight), a, b)


def _leaf(a: Array, b: Array, weight: Array) -> Array:
    norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    cosine = jnp.where(norms > 0, jnp.vdot(a, b) / jnp.where(norms > 0, norms, 1), 1)
    omega = jnp.arccos(jnp.clip(cosine, -1, 1))
    straight = jnp.sin(omega) < PARALLEL
    safe = jnp.where(straight, 1.0, omega)
    first = jnp.where(straight, 1 - weight, jnp.sin((1 - weight) * safe) / jnp.sin(safe))
    second = jnp.where(straight, weight, jnp.sin(weight * safe) / jnp.sin(safe))
    shape = weight.shape + (1,) * a.ndim
    return first.reshape(shape) * a + second.reshape(shape) * b
