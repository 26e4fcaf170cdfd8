"""Where a sampler's noise comes from: (keys [B], step, draw, x [B, ...]) -> an array like x.

`draw` counts the draws within one step. A recorded run is repeated by giving its noise back.
"""

from collections.abc import Callable

import jax
from jax import Array

Noise = Callable[[Array, Array, Array, Array], Array]


def gaussian(keys: Array, step: Array, draw: Array, x: Array) -> Array:
    """N(0, I), each example from its own key: image i is the same in any batch and on any mesh."""

    def one(key: Array) -> Array:
        key = jax.random.fold_in(jax.random.fold_in(key, step), draw)
        return jax.random.normal(key, x.shape[1:], x.dtype)

    return jax.vmap(one)(keys)


def recorded(table: Array) -> Noise:
    """The given noise: table [steps, draws, B, ...]."""
    return lambda keys, step, draw, x: table[step, draw]
