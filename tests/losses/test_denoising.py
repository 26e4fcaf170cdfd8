"""One loss, many published objectives: each is a choice of arguments, and gives the published number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxgen.denoiser import (
    denoiser,
    fractional_index,
    grid_index,
    noise_level,
    quarter_log_sigma,
    reversed_index,
    times_999,
    unit_variance,
)
from jaxgen.losses.denoising import denoising, eps_matching, half_total, likelihood, mean, ones, total, vlb
from jaxgen.losses.times import lognormal, steps, uniform
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V, convert, edm_output
from jaxgen.sde import (
    SDE,
    cosine,
    cosine_betas,
    ddpm,
    edm,
    expand,
    geometric_sigmas,
    linear_betas,
    ncsn,
    rectified_flow,
    subvp,
    vdm,
    ve,
    vp,
)

LEVELS = 1000
REDUCE = {"rm0": half_total, "rm1": mean}
WEIGHT = {"lw0": eps_matching, "lw1": likelihood}


def model_a(params, x, label, cond=None, keys=None) -> Array:
    """The network of the recorded losses."""
    return 0.7 * jnp.tanh(x) - 0.3 * x + expand(0.1 * jnp.sin(0.37 * label), x)


def model_b(level):
    """A better conditioned one, told its noise level through `level(label)`."""

    def apply(params, x, label, cond=None, keys=None):
        s = expand(level(label), x)
        return (-0.5 * jnp.tanh(x / s) + 0.1 * jnp.sin(x)) / s

    return apply


def descending(label: Array) -> Array:
    """The noise level of index `label` of geometric levels, the largest first."""
    return 50.0 * (0.01 / 50.0) ** (label / float(LEVELS - 1))


def mirrored(sde: SDE, t: Array) -> Array:
    """round((1 - t)(N - 1)), as discrete VE models are told."""
    return jnp.round((1 - t) * (LEVELS - 1))


def tabulated_eps(sde: SDE, t: Array) -> tuple[Array, Array]:
    """The reading of score-SDE's discrete VP models: y/sigma_i is the noise over sigma(t), with sigma_i of the table at
    the truncated index and sigma(t) of the continuous process."""
    table = ddpm(linear_betas(LEVELS))
    index = jnp.trunc(t * (LEVELS - 1)) / (LEVELS - 1)
    return jnp.zeros_like(t), table.sigma(index) / sde.sigma(t)


SCORE_SDE = {
    "ve/cont1": (ve(), SCORE, noise_level),
    "ve/cont0": (ve(), SCORE, mirrored),
    "vp/cont1": (vp(), EPS, times_999),
    "vp/cont0": (vp(), tabulated_eps, lambda sde, t: fractional_index(ddpm(linear_betas(LEVELS)), t)),
    "subvp/cont1": (subvp(), EPS, times_999),
}


@pytest.mark.parametrize("reduce", REDUCE)
@pytest.mark.parametrize("weight", WEIGHT)
@pytest.mark.parametrize("case", SCORE_SDE)
def test_score_sde_losses(golden, x64, case, weight, reduce):
    """The release's continuous and discrete losses with and without likelihood weighting, sum or mean."""
    numbers = golden("losses")
    sde, prediction, label = SCORE_SDE[case]
    name = case.split("/")[0]
    x0, eps, t = (jnp.asarray(numbers[key]) for key in ("data", "sde/z", f"sde/{name}/t"))
    models = {"loss": model_a}
    if name == "ve":
        models["lossB"] = model_b((lambda label: label) if case == "ve/cont1" else descending)
    for key, apply in models.items():
        loss = denoising(apply, sde, prediction, weight=WEIGHT[weight], label=label, reduce=REDUCE[reduce])
        got = jnp.mean(loss.at({}, x0, eps, t))
        np.testing.assert_allclose(got, numbers[f"sde/{case}/{weight}/{reduce}/{key}"], rtol=1e-9)


@pytest.mark.parametrize("reduce", REDUCE)
def test_smld_and_ddpm_losses(golden, x64, reduce):
    """NCSN's loss on levels counted from the noisiest, and DDPM's on its table."""
    numbers = golden("losses")
    x0 = jnp.asarray(numbers["data"])

    sde = ncsn(geometric_sigmas(LEVELS))
    t, eps = jnp.asarray(sde.grid[LEVELS - 1 - numbers["smld/labels"]]), jnp.asarray(numbers["smld/z"])
    for key, apply in {"loss": model_a, "lossB": model_b(descending)}.items():
        loss = denoising(apply, sde, SCORE, weight=eps_matching, label=reversed_index, reduce=REDUCE[reduce])
        np.testing.assert_allclose(jnp.mean(loss.at({}, x0, eps, t)), numbers[f"smld/{reduce}/{key}"], rtol=1e-9)

    sde = ddpm(linear_betas(LEVELS))
    t, eps = jnp.asarray(sde.grid[numbers["ddpm/labels"]]), jnp.asarray(numbers["ddpm/z"])
    for label in (grid_index, fractional_index):
        loss = denoising(model_a, sde, EPS, label=label, reduce=REDUCE[reduce])
        np.testing.assert_allclose(jnp.mean(loss.at({}, x0, eps, t)), numbers[f"ddpm/{reduce}/loss"], rtol=1e-9)


def _pair(n: int = 6) -> tuple[Array, Array]:
    return jax.random.normal(jax.random.key(0), (n, 3)), jax.random.normal(jax.random.key(1), (n, 3))


def test_edm_loss_is_the_papers(x64):
    """lambda(sigma) |D(x; sigma) - y|^2, lambda = (sigma^2 + sd^2)/(sigma sd)^2, with D preconditioned (eq. 7, 8)."""
    sd, (x0, eps), sigma = 0.5, _pair(), jnp.asarray([0.002, 0.1, 0.5, 1.0, 10.0, 80.0])
    loss = denoising(
        model_a, edm(), edm_output(sd), lognormal(), label=quarter_log_sigma, scale_in=unit_variance(sd), reduce=total
    )
    s = sigma[:, None]
    noisy, norm = x0 + s * eps, np.sqrt(s**2 + sd**2)
    f = model_a({}, noisy / norm, np.log(sigma) / 4)
    d = sd**2 / norm**2 * noisy + s * sd / norm * f
    want = np.sum((s**2 + sd**2) / (s * sd) ** 2 * (d - x0) ** 2, axis=1)
    np.testing.assert_allclose(loss.at({}, x0, eps, sigma), want, rtol=1e-8)


def test_flow_matching_loss_is_the_papers(x64):
    """|v(x_t, t) - (eps - x_0)|^2 on x_t = (1 - t) x_0 + t eps."""
    (x0, eps), t = _pair(), jnp.linspace(0.01, 0.99, 6)
    loss = denoising(model_a, rectified_flow(), VELOCITY)
    v = model_a({}, (1 - t)[:, None] * x0 + t[:, None] * eps, t)
    np.testing.assert_allclose(loss.at({}, x0, eps, t), np.mean((v - (eps - x0)) ** 2, axis=1), rtol=1e-10)


@pytest.mark.parametrize("sde", [vp(), ve(), subvp(), cosine()], ids=["vp", "ve", "subvp", "cosine"])
@pytest.mark.parametrize("prediction", [X0, EPS, SCORE, V, VELOCITY])
def test_likelihood_weighting_is_the_score_error_times_g_squared(x64, sde, prediction):
    """Whatever a network predicts, the weighted loss is g^2 |score_hat - score|^2 of the same estimate."""
    (x0, eps), t = _pair(), jnp.linspace(sde.t0 + 0.05, sde.t1 - 0.05, 6)
    loss = denoising(model_a, sde, prediction, weight=likelihood, reduce=total)
    x = expand(sde.alpha(t), x0) * x0 + expand(sde.sigma(t), x0) * eps
    score = denoiser(model_a, {}, sde, prediction).score(x, t)
    error = sde.diffusion(t)[:, None] * (score + eps / sde.sigma(t)[:, None])
    np.testing.assert_allclose(loss.at({}, x0, eps, t), np.sum(error**2, axis=1), rtol=1e-7)


def test_weights_do_not_depend_on_the_prediction(x64):
    """The same denoiser told as X0, EPS or V has the same eps-matched loss: only `ones` looks at y itself."""
    sde, (x0, eps), t = vp(), _pair(), jnp.linspace(0.1, 0.9, 6)

    def told_as(prediction):
        def apply(params, x, label, cond, keys=None):
            return convert(sde, EPS, prediction, model_a(params, x, label), x, label)

        return denoising(apply, sde, prediction, weight=eps_matching).at({}, x0, eps, t)

    want = denoising(model_a, sde, EPS, weight=ones).at({}, x0, eps, t)
    for prediction in (X0, EPS, SCORE, V, VELOCITY):
        np.testing.assert_allclose(told_as(prediction), want, rtol=1e-8)


def test_loss_is_at_with_times_and_noise_from_each_examples_key():
    """Example i's loss depends on keys[i] alone: it is the same in another batch, and other keys give other noise."""
    loss = denoising(model_a, vp(), EPS)
    x0, keys = _pair()[0], jax.random.split(jax.random.key(3), 6)
    whole, _ = loss({}, {"x": x0}, keys)
    part, _ = loss({}, {"x": x0[4:]}, keys[4:])
    np.testing.assert_array_equal(whole[4:], part)
    assert len(np.unique(np.asarray(loss({}, {"x": jnp.zeros_like(x0)}, keys)[0]))) == 6


def test_network_sees_condition_and_keys():
    """Conditional training without the condition, or dropout that is off while training."""
    seen = {}

    def apply(params, x, label, cond, keys=None):
        seen.update(cond=cond, keys=keys)
        return x

    x0, keys = _pair()[0], jax.random.split(jax.random.key(3), 6)
    loss = denoising(apply, vp(), EPS)
    loss({}, {"x": x0, "cond": jnp.arange(6)}, keys)
    assert seen["keys"] is keys and np.array_equal(seen["cond"], np.arange(6))
    loss.at({}, x0, x0, jnp.full(6, 0.5))
    assert seen["keys"] is None and seen["cond"] is None


def _shrink(params, x, label, cond=None, keys=None):
    return 0.6 * x


@pytest.mark.parametrize("sde", [vdm(), vp(t0=0.05), cosine(t0=0.05, t1=0.95)], ids=["vdm", "vp", "cosine"])
def test_continuous_bound_is_the_limit_of_discrete_bounds(x64, sde):
    """2107.00630: L_T falls to L_inf like 1/T. A wrong snr difference or a missing T breaks one of the two."""

    def bound(count: int | None, n: int) -> float:
        """Its expectation over x_0 = 0.7 and all noise, integrated over the times instead of drawn."""
        weight = vlb(count)
        if count is None:
            edges = np.linspace(sde.t0, sde.t1, n + 1)
            t = jnp.asarray((edges[1:] + edges[:-1]) / 2)
        else:
            t = jnp.asarray(sde.t0 + (sde.t1 - sde.t0) * np.arange(1, count + 1) / count)
        x0 = jnp.full((len(t), 2), 0.7)
        both = [
            denoising(_shrink, sde, EPS, weight=weight, reduce=total).at({}, x0, s * jnp.ones_like(x0), t)
            for s in (1.0, -1.0)
        ]  # the error is linear in eps: two points give its second moment
        return float(jnp.mean(sum(both)) / 2)

    limit = bound(None, 200_000)
    gaps = [bound(count, count) - limit for count in (250, 500, 1000, 2000)]
    assert gaps[0] > 0 and abs(gaps[-1]) < 0.02 * limit
    np.testing.assert_allclose(np.array(gaps[:-1]) / np.array(gaps[1:]), 2, atol=0.35)


def test_steps_land_on_the_table_of_ddpm(x64):
    """The discrete bound of DDPM runs over its own levels: `steps(N - 1)` draws t_1 .. t_{N-1} and nothing between."""
    sde = ddpm(cosine_betas(10))
    t, weight = steps(9)(jax.random.split(jax.random.key(0), 400), sde)
    index = np.asarray(t) * 9
    np.testing.assert_allclose(index, np.round(index), atol=1e-9)
    assert set(np.round(index).astype(int)) == set(range(1, 10))
    np.testing.assert_array_equal(weight, 1)


def test_discrete_bound_is_a_sum_of_gaussian_divergences(x64):
    """T times its mean is sum_i KL(q(z_s | z_t, x_0) || q(z_s | z_t, x_0 hat)), computed from `posterior` (eq. 13)."""
    sde, count, (x0, eps) = vp(t0=0.01), 7, _pair(7)
    t = jnp.asarray(sde.t0 + (sde.t1 - sde.t0) * np.arange(1, count + 1) / count)
    loss = denoising(model_a, sde, EPS, weight=vlb(count), reduce=total)
    alpha, sigma = sde.alpha(t)[:, None], sde.sigma(t)[:, None]
    x = alpha * x0 + sigma * eps
    guess = (x - sigma * model_a({}, x, t)) / alpha
    s = t - (sde.t1 - sde.t0) / count
    (mean_true, std), (mean_guess, _) = sde.posterior(x0, x, t, s), sde.posterior(guess, x, t, s)
    divergence = np.sum(((mean_true - mean_guess) / std[:, None]) ** 2, axis=1) / 2
    np.testing.assert_allclose(loss.at({}, x0, eps, t) / count, divergence, rtol=1e-6)


def test_uniform_is_the_default_and_draws_the_grid():
    """Discrete-time models are trained on their own levels only, each equally often."""
    sde = ddpm(cosine_betas(4))
    t, _ = uniform(jax.random.split(jax.random.key(0), 4000), sde)
    values, counts = np.unique(np.asarray(t), return_counts=True)
    np.testing.assert_allclose(values, sde.grid, rtol=1e-6)
    np.testing.assert_allclose(counts, 1000, atol=130)
