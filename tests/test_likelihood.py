"""Probability-flow likelihood against the closed-form density of mixtures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import exact_denoiser, log_prob_at, mixture

from jaxgen import sde as process
from jaxgen.likelihood import exact, hutchinson, log_prob, normal, rademacher
from jaxgen.prediction import VELOCITY

DATA = mixture([0.6, 0.4], [[-1.0, 0.5, 0.0], [1.0, -0.5, 0.2]], [[0.4, 0.3, 0.5], [0.3, 0.5, 0.4]])
# A process ends its likelihood in N(0, prior_std^2): choose ends at which that is the mixture's own limit to 1e-6.
PROCESSES = {
    "vp": process.vp(beta_max=70.0),
    "subvp": process.subvp(beta_max=70.0),
    "ve": process.ve(0.01, 2e6),
    "edm": process.edm(0.002, 2e6),
    "rectified_flow": process.rectified_flow(t1=1 - 1e-7),
    "vdm": process.vdm(process.linear_gamma(-13.0, 32.0)),
}


def points(n=6):
    x = jax.random.normal(jax.random.key(0), (n, 3))
    return x * jnp.asarray([1.2, 0.7, 0.6])


@pytest.mark.parametrize("name", PROCESSES)
def test_exact_divergence_gives_the_density(name, x64):
    """log p off by more than 1e-5 nats on any process."""
    sde = PROCESSES[name]
    den = exact_denoiser(sde, DATA, VELOCITY)
    x = points()
    value = jax.jit(lambda x: log_prob(den, x, jax.random.key(1), exact(), rtol=1e-8, atol=1e-8))(x)
    np.testing.assert_allclose(value, log_prob_at(DATA, sde, x, jnp.full(len(x), sde.t0)), atol=1e-5)


@pytest.mark.parametrize("probe", [rademacher, normal])
def test_hutchinson_is_unbiased(probe, x64):
    """The mean over probes is the exact value, within four standard errors."""
    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    x = jnp.repeat(points(1), 512, axis=0)
    values = np.asarray(log_prob(den, x, jax.random.key(2), hutchinson(probe), rtol=1e-6, atol=1e-6))
    truth = float(log_prob(den, x[:1], jax.random.key(2), exact(), rtol=1e-8, atol=1e-8)[0])
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))
    assert values.std() > 0


def test_exact_divergence_in_chunks(x64):
    """The trace does not depend on how many dimensions are pushed at once."""
    den = exact_denoiser(process.vp(), DATA)
    x = points(2)
    one, three = (log_prob(den, x, jax.random.key(0), exact(chunk)) for chunk in (1, 3))
    np.testing.assert_allclose(one, three, rtol=1e-10)


def test_likelihood_of_an_example_ignores_its_batch():
    """Per-example step control and probes: the same number alone and in company."""
    den = exact_denoiser(process.vp(), DATA)
    x = points(4)
    keys = jax.random.split(jax.random.key(3), 4)
    np.testing.assert_allclose(log_prob(den, x, keys)[2:3], log_prob(den, x[2:3], keys[2:3]), atol=1e-4)
