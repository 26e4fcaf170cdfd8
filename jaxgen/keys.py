"""Randomness of examples: each has a key of its own, so that what is drawn for it is the same on any mesh and in any
batch."""

from collections.abc import Callable

import jax
from jax import Array
from jax.typing import ArrayLike


def fold(keys: Array, salt: ArrayLike) -> Array:
    """Another independent key for each example, [B]."""
    return jax.vmap(lambda key: jax.random.fold_in(key, salt))(keys)


def draw(keys: Array, salt: ArrayLike, sampler: Callable[[Array], Array]) -> Array:
    """sampler(fold_in(keys[i], salt)) for every example i, stacked. Different salts give independent draws."""
    return jax.vmap(sampler)(fold(keys, salt))
