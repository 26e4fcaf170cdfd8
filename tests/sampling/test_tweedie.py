"""Denoising by the score of a density of noised data."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.bijectors.bijector import chain
from jaxgen.bijectors.elementwise import affine
from jaxgen.losses.flow import NORMAL
from jaxgen.sampling.tweedie import tweedie


def test_denoising_by_a_gaussian_flow_is_the_posterior_mean():
    """Breaks if the step is not std^2 times the score, or of another sign: for x ~ N(m, s^2) and y = x + std eps the
    mean of x given y is (s^2 y + std^2 m) / (s^2 + std^2)."""
    mean, spread, std = jnp.asarray([0.5, -1.0, 2.0]), jnp.asarray([0.1, 1.0, 3.0]), 0.3
    total = jnp.square(spread) + std**2
    flow = chain(affine(-mean, 0.0), affine(0.0, -0.5 * jnp.log(total)))

    def log_prob(y):
        z, log_det = flow.forward_and_log_det(y)
        return NORMAL.log_prob(z) + log_det

    y = 2 * jax.random.normal(jax.random.key(0), (4, 3))
    np.testing.assert_allclose(tweedie(log_prob, y, std), (spread**2 * y + std**2 * mean) / total, rtol=1e-5, atol=1e-6)
