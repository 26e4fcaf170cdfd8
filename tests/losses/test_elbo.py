"""The variational bound of discrete data, fed the Bayes-optimal denoiser, must come down on the true -log p."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import mixture, posterior_mean

from jaxgen.losses.denoising import denoising, total, vlb
from jaxgen.losses.elbo import prior_divergence, reconstruction, variational_bound
from jaxgen.losses.times import steps, uniform_log_snr
from jaxgen.prediction import X0
from jaxgen.sde import SDE, linear_gamma, vdm, vp

LEVELS = np.array([-1.0, -1 / 3, 1 / 3, 1.0])
# Three independent pixels, each with its own distribution over the four levels.
TABLE = np.array([[0.4, 0.1, 0.2, 0.3], [0.05, 0.05, 0.1, 0.8], [0.25, 0.25, 0.25, 0.25]])
X = np.stack(np.meshgrid(*[LEVELS] * 3, indexing="ij"), -1).reshape(-1, 3)
SURPRISE = -sum(np.log(TABLE[d][np.argmin(np.abs(X[:, d, None] - LEVELS), axis=1)]) for d in range(3))
SHARE = np.exp(-SURPRISE)  # p(x) of each of the 64 images


def bayes(sde: SDE):
    """E[x_0 | x_t] of the independent pixels: each a mixture of point masses at the levels."""

    def apply(params, x, t, cond=None, keys=None):
        columns = [
            posterior_mean(mixture(row, LEVELS[:, None], np.zeros(len(LEVELS))), sde, x[:, d : d + 1], t)[0]
            for d, row in enumerate(TABLE)
        ]
        return jnp.concatenate(columns, axis=1)

    return apply


def _expected(loss, repeats: int, dtype: str = "float64") -> tuple[float, float]:
    """(mean, standard error) of the loss over x ~ p: every image `repeats` times, weighted by p(x)."""
    x = jnp.asarray(np.repeat(X, repeats, 0), dtype)
    value, _ = jax.jit(loss)({}, {"x": x}, jax.random.split(jax.random.key(0), len(x)))
    value = np.asarray(value).reshape(-1, repeats)
    return float(SHARE @ value.mean(1)), float(np.sqrt(SHARE**2 @ value.var(1) / repeats))


@pytest.mark.parametrize("process", ["vdm", "vp"])
def test_continuous_bound_is_tight_for_the_bayes_denoiser(x64, process):
    """For noise that hides nothing at t_0 and everything at t_1 the continuous bound *is* the entropy (in the mean over
    data): a wrong weight, prior or reconstruction term misses it."""
    sde = {"vdm": vdm(linear_gamma(-5.5, 7.0)), "vp": vp(t0=1e-3)}[process]
    diffusion = denoising(bayes(sde), sde, X0, times=uniform_log_snr, weight=vlb(), reduce=total)
    bound, error = _expected(variational_bound(diffusion, sde, LEVELS), 12_000)
    entropy = float(SHARE @ SURPRISE)
    assert error < 0.02 and abs(bound - entropy) < 4 * error + 2e-3


def test_discrete_bounds_lie_above_and_come_down(x64):
    """L_T of few steps is loose, and more steps tighten it towards the entropy, never below."""
    sde = vdm(linear_gamma(-5.5, 7.0))
    entropy = float(SHARE @ SURPRISE)

    def bound(count: int) -> tuple[float, float]:
        diffusion = denoising(bayes(sde), sde, X0, times=steps(count), weight=vlb(count), reduce=total)
        return _expected(variational_bound(diffusion, sde, LEVELS), 4000)

    (coarse, error), (fine, error_fine) = bound(10), bound(40)
    assert coarse > fine + 4 * (error + error_fine)
    assert fine > entropy - 4 * error_fine


def test_the_bound_is_finite_in_float32():
    """Eight-bit data at the default noise levels of 2107.00630: no NaN and no infinite reconstruction."""
    sde, levels = vdm(), np.linspace(-1, 1, 256)
    diffusion = denoising(lambda p, x, t, c, k=None: x, sde, X0, weight=vlb(), reduce=total)
    x = jnp.asarray(levels[np.arange(12).reshape(4, 3) * 20], jnp.float32)
    value, aux = variational_bound(diffusion, sde, levels)({}, {"x": x}, jax.random.split(jax.random.key(0), 4))
    assert np.all(np.isfinite(value)) and set(aux.metrics) == {"diffusion", "reconstruction", "prior"}
    np.testing.assert_allclose(value, sum(aux.metrics.values()), rtol=1e-5)


def test_reconstruction_is_a_normalized_likelihood(x64):
    """-log p(x | z_0) in the mean over z_0, by quadrature, for noise that does confuse neighbouring levels."""
    sde = vdm(linear_gamma(-1.0, 10.0))
    value, _ = jax.jit(reconstruction(sde, LEVELS))(
        {}, {"x": jnp.full((40_000, 1), LEVELS[1])}, jax.random.split(jax.random.key(0), 40_000)
    )
    start = jnp.zeros(1)
    alpha, sigma = float(sde.alpha(start)[0]), float(sde.sigma(start)[0])
    eps = np.linspace(-8, 8, 4001)
    z = alpha * LEVELS[1] + sigma * eps
    density = np.exp(-0.5 * ((z[:, None] - alpha * LEVELS) / sigma) ** 2)
    logp = np.log(density[:, 1] / density.sum(1))
    exact = -np.sum(logp * np.exp(-0.5 * eps**2)) / np.sum(np.exp(-0.5 * eps**2))
    assert exact > 0.1 and abs(float(value.mean()) - exact) < 4 * float(value.std()) / 200


def test_prior_divergence_is_gaussian(x64):
    """KL(N(alpha x, sigma^2) || N(0, prior_std^2)) summed over dimensions."""
    sde, x = vdm(linear_gamma(-5.0, 1.0)), jnp.asarray([[0.5, -1.0]])
    end = jnp.ones(1)
    mean, std = float(sde.alpha(end)[0]) * np.asarray(x), float(sde.sigma(end)[0])
    want = np.sum(0.5 * (std**2 + mean**2 - 1) - np.log(std))
    np.testing.assert_allclose(prior_divergence(sde)({}, {"x": x}, None)[0], [want], rtol=1e-10)


def test_levels_are_a_vector():
    with pytest.raises(ValueError, match="vector of levels"):
        reconstruction(vdm(), np.zeros((2, 2)))
