"""Proposals for the time: importance sampling must not move the objective, defining ones must be the paper's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.denoising import likelihood
from jaxgen.losses.times import logit_normal, lognormal, uniform, uniform_log_snr
from jaxgen.prediction import EPS
from jaxgen.sde import cosine, edm, rectified_flow, subvp, ve, vp

N = 40_000
KEYS = 5


def _keys():
    return jax.random.split(jax.random.key(KEYS), N)


@pytest.mark.parametrize(
    "sde", [vp(t0=1e-3), subvp(t0=1e-3), ve(), edm(), cosine()], ids=["vp", "subvp", "ve", "edm", "cosine"]
)
def test_uniform_log_snr_is_unbiased_and_flattens_likelihood_weighting(x64, sde):
    """E_p[w f(t)] = E_U[f(t)], and w times the likelihood weight is one constant: that is what it is for."""
    t, weight = jax.jit(uniform_log_snr, static_argnums=1)(_keys(), sde)
    assert np.all((t >= sde.t0) & (t <= sde.t1))
    product = weight * likelihood(sde, EPS, t)
    np.testing.assert_allclose(product, np.full(N, product[0]), rtol=1e-6)
    span = sde.log_snr(jnp.asarray([sde.t0])) - sde.log_snr(jnp.asarray([sde.t1]))
    np.testing.assert_allclose(product[0], span[0] / (sde.t1 - sde.t0), rtol=1e-6)

    # A test function that weighs all parts of log snr: its uniform-time mean is an integral over log snr.
    def figure(t):
        return likelihood(sde, EPS, t) * (1 + jnp.sin(sde.log_snr(t)))

    edges = np.linspace(
        float(sde.log_snr(jnp.asarray([sde.t1]))[0]), float(sde.log_snr(jnp.asarray([sde.t0]))[0]), 4001
    )
    middle = (edges[1:] + edges[:-1]) / 2
    exact = np.sum((1 + np.sin(middle)) * np.diff(edges)) / (sde.t1 - sde.t0)
    drawn = np.asarray(weight * figure(t))
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / np.sqrt(N)


def test_lognormal_is_edms_proposal():
    """log sigma ~ N(-1.2, 1.2^2): training that looks at the wrong noise levels."""
    t, weight = jax.jit(lognormal(), static_argnums=1)(_keys(), edm())
    log_sigma = np.log(np.asarray(t))
    assert abs(log_sigma.mean() + 1.2) < 0.03 and abs(log_sigma.std() - 1.2) < 0.03
    np.testing.assert_array_equal(weight, 1)


def test_logit_normal_is_sd3s_proposal():
    """logit t ~ N(m, s^2) on the unit interval of the process."""
    sde = rectified_flow()
    t, _ = logit_normal(0.5, 0.8)(_keys(), sde)
    unit = (np.asarray(t) - sde.t0) / (sde.t1 - sde.t0)
    logit = np.log(unit / (1 - unit))
    assert abs(logit.mean() - 0.5) < 0.02 and abs(logit.std() - 0.8) < 0.02


def test_uniform_covers_the_interval():
    """t ~ U[t0, t1] of the process, not of [0, 1]."""
    t, _ = uniform(_keys(), edm(1.0, 3.0))
    assert abs(float(t.mean()) - 2) < 0.02 and abs(float(t.std()) - 2 / np.sqrt(12)) < 0.01
    assert float(t.min()) < 1.001 and float(t.max()) > 2.999
