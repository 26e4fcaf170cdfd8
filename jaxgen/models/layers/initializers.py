"""Weight initializers of the score networks."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer


def fan_avg(scale: float = 1.0) -> Initializer:
    """U(-a, a) with a = sqrt(3 scale / fan), fan the mean of fan in and fan out; scale 0 means 1e-10.

    Source: Glorot and Bengio 2010, eq. (16), scaled as in Ho et al. 2020 (DDPM).
    """
    return jax.nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")


def symmetric_uniform(bound: float) -> Initializer:
    """U(-bound, bound)."""

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        return jax.random.uniform(key, tuple(shape), dtype, -bound, bound)

    return init
