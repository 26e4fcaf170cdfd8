"""What Gaussian noise has done to images, undone in the mean: Tweedie's formula.

    E[x | y] = y + std^2 grad_y log p(y),   y = x + std eps,   eps ~ N(0, I)

Source: Robbins 1956, "An Empirical Bayes Approach to Statistics"; for samples of a flow of noised images, Zhai et al.
2024, "Normalizing Flows are Capable Generative Models" (2412.06329), section 2.5.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array


def tweedie(log_prob: Callable[[Array], Array], y: Array, std: float) -> Array:
    """E[x | y], [B, ...], from the density of y: log_prob(y [B, ...]) -> [B] nats."""
    return y + std**2 * jax.grad(lambda y: jnp.sum(log_prob(y)))(y)
