r"""Diagonal Gaussians N(mean, exp(2 log_std)): element by element, so that whoever calls sums over what it likes.

    log N(z)        = -1/2 ((z - mean) / std)^2 - log std - 1/2 log 2 pi
    log N([a, b])   = log(Phi(b') - Phi(a')),  a' = (a - mean) / std
    KL(N_1 || N_2)  = log std_2 - log std_1 + (std_1^2 + (mean_1 - mean_2)^2) / (2 std_2^2) - 1/2

Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", appendix B.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr
from jax.typing import ArrayLike, DTypeLike

from jaxgen.keys import draw


def log_prob(z: Array, mean: ArrayLike = 0.0, log_std: ArrayLike = 0.0) -> Array:
    """log N(z), nats of every element; a density."""
    return -0.5 * jnp.square((z - mean) * jnp.exp(-jnp.asarray(log_std))) - log_std - 0.5 * math.log(2 * math.pi)


def log_mass(low: ArrayLike, high: ArrayLike, mean: ArrayLike, log_std: ArrayLike) -> Array:
    """log N([low, high]), nats of every element; ends may be infinite. Both ends are looked at from the side where Phi
    is small, so that nothing cancels far from the mean."""
    inverse = jnp.exp(-jnp.asarray(log_std))
    a, b = (jnp.asarray(low) - mean) * inverse, (jnp.asarray(high) - mean) * inverse
    a, b = jnp.where(a > 0, -b, a), jnp.where(a > 0, -a, b)
    lower, upper = log_ndtr(a), log_ndtr(b)
    return upper + jnp.log(-jnp.expm1(lower - upper))


def kl(mean: Array, log_std: Array, prior_mean: ArrayLike = 0.0, prior_log_std: ArrayLike = 0.0) -> Array:
    """KL(N(mean, std) || N(prior_mean, prior_std)), nats of every element; by default from the standard normal."""
    ratio = log_std - jnp.asarray(prior_log_std)
    distance = (mean - prior_mean) * jnp.exp(-jnp.asarray(prior_log_std))
    return 0.5 * (jnp.expm1(2 * ratio) + jnp.square(distance)) - ratio


def noise(keys: Array, salt: ArrayLike, shape: Sequence[int], dtype: DTypeLike = float) -> Array:
    """eps ~ N(0, I), [B, *shape], each example's of its own key."""
    return draw(keys, salt, lambda key: jax.random.normal(key, shape, dtype))


def sample(keys: Array, salt: int, mean: Array, log_std: Array) -> Array:
    """mean + std eps with eps of each example's own key, [B, ...]: differentiable in mean and log_std."""
    return mean + jnp.exp(log_std) * noise(keys, salt, mean.shape[1:], mean.dtype)
