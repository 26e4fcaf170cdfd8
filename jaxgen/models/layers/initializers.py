"""Weight initializers of the score networks."""

import jax
from jax.nn.initializers import Initializer


def fan_avg(scale: float = 1.0) -> Initializer:
    """U(-a, a) with a = sqrt(3 scale / fan), fan the mean of fan in and fan out; scale 0 means 1e-10.

    Source: Glorot and Bengio 2010, eq. (16), scaled as in Ho et al. 2020 (DDPM).
    """
    return jax.nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")
