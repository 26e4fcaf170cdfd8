"""The square root, for norms that may be zero."""

import jax.numpy as jnp
from jax import Array


def root(square: Array) -> Array:
    """The square root, with gradient 0 at 0."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)
