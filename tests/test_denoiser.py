"""A network becomes a Denoiser: what it is told, how its input is scaled and how its output is read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import exact_denoiser, log_prob_at, ring
from processes import SDES, times

from jaxgen.denoiser import (
    denoiser,
    fractional_index,
    grid_index,
    level_posterior,
    noise_level,
    quarter_log_sigma,
    reversed_index,
    times_999,
    unit_variance,
)
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V, edm_output
from jaxgen.sde import cosine, ddpm, edm, geometric_sigmas, linear_betas, ncsn, rectified_flow, ve, vp


def _points(sde, n: int = 7):
    t = jnp.asarray(times(sde, n))
    x = jax.random.normal(jax.random.key(0), (n, 2)) * (sde.alpha(t) + sde.sigma(t))[:, None]
    return x, t


@pytest.mark.parametrize("prediction", [X0, EPS, SCORE, V, VELOCITY, edm_output(0.5)])
@pytest.mark.parametrize("sde", [vp(), edm(), cosine(), rectified_flow()], ids=["vp", "edm", "cosine", "flow"])
def test_every_reading_agrees_with_the_exact_mixture(x64, sde, prediction):
    """x0, eps, score and velocity of a perfect model are posterior means, grad log p_t and the flow."""
    data = ring(5, 1.0, 0.3)
    x, t = _points(sde)
    x, t = x[1:-1], t[1:-1]
    exact, told = exact_denoiser(sde, data), exact_denoiser(sde, data, prediction)
    score = jax.grad(lambda x: jnp.sum(log_prob_at(data, sde, x, t)))(x)
    near = dict(rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(exact.score(x, t), score, **near)
    np.testing.assert_allclose(told.score(x, t), score, **near)
    np.testing.assert_allclose(told.x0(x, t), exact.x0(x, t), **near)
    np.testing.assert_allclose(told.eps(x, t), exact.eps(x, t), **near)
    np.testing.assert_allclose(told.velocity(x, t), sde.velocity(x, score, t), **near)
    x0, eps = told.estimate(x, t)
    np.testing.assert_allclose(sde.alpha(t)[:, None] * x0 + sde.sigma(t)[:, None] * eps, x, **near)


@pytest.mark.parametrize("name", SDES)
def test_the_exact_model_is_finite_at_the_ends_in_float32(name):
    """The oracle other tests rest on, read in every form at t0 and t1."""
    x, t = _points(SDES[name], 3)
    x, t = x.astype(jnp.float32), t.astype(jnp.float32)
    told = exact_denoiser(SDES[name], ring())
    assert all(np.all(np.isfinite(read(x, t))) for read in (told.x0, told.eps, told.score, told.velocity))


def test_label_and_input_scale_reach_the_network(x64):
    """EDM's preconditioning: the network sees c_in x and log(sigma)/4, and F is read as c_skip x + c_out F."""
    sde, sd = edm(), 0.5
    x, sigma = jnp.asarray([[2.0], [-3.0]]), jnp.asarray([0.7, 20.0])

    def apply(params, x, label, cond, keys=None):
        return params["net"] * x + label[:, None] + cond[:, None]

    den = denoiser(apply, {"net": 3.0}, sde, edm_output(sd), quarter_log_sigma, unit_variance(sd))
    f = 3 * x / np.sqrt(sigma**2 + sd**2)[:, None] + (np.log(sigma) / 4)[:, None] + 1
    c_skip, c_out = sd**2 / (sigma**2 + sd**2), sigma * sd / np.sqrt(sigma**2 + sd**2)
    want = c_skip[:, None] * x + c_out[:, None] * f
    np.testing.assert_allclose(den.x0(x, sigma, jnp.ones(2)), want, rtol=1e-9)


def test_labels_are_the_published_ones(x64):
    """999 t for VP, sigma for VE, the integer level for DDPM and its mirror for NCSN."""
    t = jnp.asarray([0.0, 0.25, 1.0])
    np.testing.assert_allclose(times_999(vp(), t), [0, 249.75, 999])
    np.testing.assert_allclose(noise_level(ve(), t), 0.01 * 5000 ** np.asarray(t), rtol=1e-12)
    with pytest.raises(ValueError, match="discretized"):
        reversed_index(vp(), t)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_grid_index_is_exact_on_the_grid(dtype):
    """Every grid time of a 1000-step process finds its own index, in float32 too."""
    with jax.enable_x64(dtype == "float64"):
        sde = ddpm(linear_betas())
        grid = jnp.asarray(sde.grid, dtype)
        np.testing.assert_array_equal(grid_index(sde, grid), np.arange(1000))
        np.testing.assert_array_equal(reversed_index(ncsn(geometric_sigmas()), grid), np.arange(1000)[::-1])
        assert grid_index(sde, grid).dtype == jnp.int32
        np.testing.assert_allclose(fractional_index(sde, grid), np.arange(1000), rtol=1e-6)
        np.testing.assert_allclose(
            fractional_index(sde, jnp.asarray([0.25, 0.9999], dtype)), [249.75, 998.9001], rtol=1e-6
        )


def test_level_posterior_is_bayes_rule(x64):
    """Logits that are the log prior of each pixel give E[x_0 | x_t] by enumeration, at any noise level."""
    levels, prior = np.linspace(-1, 1, 5), np.array([0.1, 0.4, 0.2, 0.05, 0.25])

    def apply(params, x, label, cond=None, keys=None):
        return jnp.broadcast_to(jnp.log(prior), (*x.shape[:-1], 5))

    sde = vp()
    t = jnp.asarray([1e-4, 0.1, 0.5, 1.0])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 1)))
    den = denoiser(level_posterior(apply, sde, levels), None, sde, X0)
    for i in range(4):
        alpha, sigma = sde.alpha(t)[i], sde.sigma(t)[i]
        density = prior * np.exp(-0.5 * ((x[i] - alpha * levels) / sigma) ** 2)
        with np.errstate(invalid="ignore"):
            want = (density @ levels) / density.sum(-1)
        known = density.sum(-1) > 0
        np.testing.assert_allclose(den.x0(x, t)[i, known, 0], want[known], rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="5 logits a channel"):
        level_posterior(lambda params, x, label, cond, keys: x, sde, levels)(None, x, t)
