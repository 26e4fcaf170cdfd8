"""Every derived coefficient against its closed form, the published tables and the numbers of the score-SDE release."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import SDES, times

from jaxgen.prediction import VELOCITY, encode
from jaxgen.sde import (
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

TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
BETA_MIN, BETA_MAX = 0.1, 20.0


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """The test runs once in float64 and once in float32."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def close(got: Any, want: np.ndarray, tolerance: float, scale: np.ndarray | float = 0.0) -> None:
    """Example by example, the error is within `tolerance` of the largest entry (and of the largest of `scale`)."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    size = np.maximum(np.abs(want), np.abs(scale)).reshape(len(want), -1).max(1)
    assert got.shape == want.shape
    assert np.all(np.abs(got - want).reshape(len(want), -1).max(1) <= tolerance * size)


@pytest.mark.parametrize(("name", "sde"), [("ve", ve()), ("vp", vp()), ("subvp", subvp())])
def test_agrees_with_the_score_sde_release(golden, dtype, name, sde):
    """A wrong coefficient, prior or probability-flow factor in VE, VP or sub-VP."""
    numbers = golden("sde")
    want = {key.removeprefix(f"{name}/"): value for key, value in numbers.items() if key.startswith(f"{name}/")}
    x, t, score = (jnp.asarray(numbers[key], dtype) for key in ("x", "t", "score"))
    tolerance = TOLERANCE[dtype]
    mean, std = sde.marginal(x, t)
    close(sde.drift(x, t), want["drift"], tolerance)
    close(sde.diffusion(t), want["diffusion"], tolerance)
    close(mean, want["mean"], tolerance)
    close(std, want["std"], tolerance)
    close(sde.prior_logp(jnp.asarray(want["prior_z"], dtype)), want["prior_logp"], tolerance)
    for prefix, stochasticity in (("rev", 1.0), ("pf", 0.0)):
        reverse = sde.reverse(lambda x, t: score, stochasticity)
        close(reverse.drift(x, t), want[f"{prefix}_drift"], tolerance)
        close(reverse.diffusion(t), want[f"{prefix}_diffusion"], tolerance)
    close(sde.velocity(x, score, t), want["pf_drift"], tolerance)


@pytest.mark.parametrize(("name", "sde"), [("ve", ve()), ("vp", vp()), ("subvp", subvp())])
def test_prior_has_the_release_scale(golden, name, sde):
    """Sampling that starts at the wrong noise level: the release draws z and, for VE, multiplies by sigma_max."""
    key = jax.random.key(0)
    unit = jax.random.normal(key, (4, 3))
    scale = float(golden("sde")["ve/sigma_max"]) if name == "ve" else 1.0
    np.testing.assert_allclose(sde.prior_sample(key, (4, 3)), scale * unit, rtol=1e-6)


@pytest.mark.parametrize("name", ["ve", "vp"])
def test_discrete_steps_are_exact_transitions(golden, dtype, name):
    """SMLD's and DDPM's step between grid points, and the first one, which leaves from clean data (alpha 1, sigma 0).

    float32 tolerance: a step's variance is the difference of two that are up to 100 times larger, each good to a few
    roundings of 6e-8, so 5e-5.
    """
    numbers = golden("sde")
    sde = {"ve": ncsn(geometric_sigmas()), "vp": ddpm(linear_betas())}[name]
    x, t, score = (jnp.asarray(numbers[key], dtype) for key in ("x", "t", "score"))
    last = len(sde.grid) - 1
    index = np.trunc(numbers["t"] * last).astype(int)
    np.testing.assert_array_equal(index, numbers[f"{name}/timestep"])
    here, before = (jnp.asarray(sde.grid[np.maximum(i, 0)], dtype) for i in (index, index - 1))
    f, noise = sde.discretize_step(x, before, here)
    clean = jnp.asarray(index == 0)
    f = jnp.where(expand(clean, x), expand(sde.alpha(here) - 1, x) * x, f)
    noise = jnp.where(clean, sde.sigma(here), noise)
    tolerance = {"float64": 1e-9, "float32": 5e-5}[dtype]
    close(f, numbers[f"{name}/disc_f"], tolerance, scale=numbers["x"])
    close(noise, numbers[f"{name}/disc_G"], tolerance)
    for prefix, share in (("rev", 1.0), ("pf", 0.5)):
        pull = expand(share * noise**2, x) * score
        close(f - pull, numbers[f"{name}/{prefix}_disc_f"], tolerance, scale=numbers["x"])


def test_subvp_discretizes_by_euler(golden, dtype):
    """The release steps sub-VP with f dt and g sqrt(dt), dt = 1/N: f and g must be good enough for it."""
    numbers, sde = golden("sde"), subvp()
    x, t = jnp.asarray(numbers["x"], dtype), jnp.asarray(numbers["t"], dtype)
    close(sde.drift(x, t) / 1000, numbers["subvp/disc_f"], TOLERANCE[dtype])
    close(sde.diffusion(t) / np.sqrt(1000), numbers["subvp/disc_G"], TOLERANCE[dtype])


def test_tables_of_the_release(golden, x64):
    """A shifted or rounded table of betas, alphas_bar or noise levels."""
    numbers = golden("sde")
    sde = ddpm(linear_betas(1000, 0.1, 20.0))
    grid = jnp.asarray(sde.grid)
    np.testing.assert_allclose(linear_betas(), numbers["vp/discrete_betas"], rtol=1e-12)
    np.testing.assert_allclose(sde.alpha(grid) ** 2, numbers["vp/alphas_cumprod"], rtol=1e-9)
    np.testing.assert_allclose(sde.alpha(grid), numbers["vp/sqrt_alphas_cumprod"], rtol=1e-9)
    np.testing.assert_allclose(sde.sigma(grid), numbers["vp/sqrt_1m_alphas_cumprod"], rtol=1e-9)
    np.testing.assert_allclose(geometric_sigmas(), numbers["ve/discrete_sigmas"], rtol=1e-9)
    np.testing.assert_allclose(ncsn(geometric_sigmas()).sigma(grid), numbers["ve/discrete_sigmas"], rtol=1e-9)


@pytest.mark.parametrize(("schedule", "betas"), [("linear", linear_betas()), ("squaredcos_cap_v2", cosine_betas())])
def test_published_alpha_bar(golden, x64, schedule, betas):
    """DDPM's linear and iDDPM's cosine schedule, their noising and V target, and the posterior variance."""
    numbers = golden("schedules_tables")
    np.testing.assert_allclose(betas, numbers[f"betas/{schedule}"], rtol=1e-9)
    sde = ddpm(betas)
    np.testing.assert_allclose(sde.alpha(jnp.asarray(sde.grid)) ** 2, numbers[f"alphas_cumprod/{schedule}"], rtol=1e-9)
    index = numbers[f"forward/{schedule}/t"]
    x0, eps = (jnp.asarray(numbers[f"forward/{schedule}/{key}"]) for key in ("x0", "noise"))
    t, s = jnp.asarray(sde.grid[index]), jnp.asarray(sde.grid[np.maximum(index - 1, 0)])
    mean, std = sde.marginal(x0, t)
    np.testing.assert_allclose(mean + expand(std, x0) * eps, numbers[f"forward/{schedule}/add_noise"], rtol=1e-8)
    later = index > 0
    small = np.square(sde.posterior(x0, x0, t, s)[1])
    np.testing.assert_allclose(small[later], numbers[f"variance/{schedule}/fixed_small"][later], rtol=1e-8)
    variance = np.asarray(sde.transition(s, t)[1])
    np.testing.assert_allclose(variance[later], numbers[f"variance/{schedule}/fixed_large"][later], rtol=1e-8)


def _closed_forms(name: str, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(f, g^2, log snr) of a process, from the formulas of its paper."""
    beta = BETA_MIN + (BETA_MAX - BETA_MIN) * t
    integral = BETA_MIN * t + 0.5 * (BETA_MAX - BETA_MIN) * t**2
    if name in ("vp", "discretized_vp"):
        return -beta / 2, beta, -np.log(np.expm1(integral))
    if name == "subvp":
        log_snr = -integral - 2 * np.log(-np.expm1(-integral))
        return -beta / 2, beta * -np.expm1(-2 * integral), log_snr
    if name == "ve":
        rate = np.log(50.0 / 0.01)
        sigma = 0.01 * np.exp(rate * t)
        return 0 * t, 2 * rate * sigma**2, -2 * np.log(sigma)
    if name == "edm":
        return 0 * t, 2 * t, -2 * np.log(t)
    if name == "cosine":
        rate = np.pi / 2 / 1.008
        angle = rate * (t + 0.008)
        alpha = np.cos(angle) / np.cos(rate * 0.008)
        slope = -rate * np.tan(angle)
        return slope, -2 * slope, np.log(alpha**2 / (1 - alpha**2))
    if name == "rectified_flow":
        return -1 / (1 - t), 2 * t / (1 - t), 2 * np.log((1 - t) / t)
    if name == "vdm":
        gamma = -13.3 + 18.3 * t
        noise = 1 / (1 + np.exp(-gamma))
        return -0.5 * noise * 18.3, noise * 18.3, -gamma
    if name == "ddpm":
        log_alpha = 0.5 * np.cumsum(np.log1p(-linear_betas()))
        left = np.clip((t * 999).astype(int), 0, 998)
        slope = (log_alpha[left + 1] - log_alpha[left]) * 999
        value = log_alpha[left] + (t * 999 - left) * (log_alpha[left + 1] - log_alpha[left])
        return slope, -2 * slope, -np.log(np.expm1(-2 * value))
    rate = np.log(50.0 / 0.01)  # ncsn: geometric levels between the ends are the VE process itself
    sigma = 0.01 * np.exp(rate * t)
    return 0 * t, 2 * rate * sigma**2, -2 * np.log(sigma)


@pytest.mark.parametrize("name", SDES)
def test_coefficients_have_their_closed_form(dtype, name):
    """f, g^2 and log snr as derived by differentiation are those of the papers, end points included.

    float32 tolerance: 2e-5 relative, plus for log snr what one rounding of t moves it by.
    """
    sde = SDES[name]
    at = times(sde, 33)
    t = jnp.asarray(at, dtype)
    drift, square, log_snr = _closed_forms(name, at)
    tolerance = {"float64": 2e-8, "float32": 2e-5}[dtype]
    derived = jax.jit(lambda t: (sde.drift(jnp.ones_like(t), t), sde.diffusion(t), sde.log_snr(t), sde.snr(t)))(t)
    got_drift, got_diffusion, got_log_snr, got_snr = (np.asarray(value, np.float64) for value in derived)
    np.testing.assert_allclose(got_drift, drift, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(got_diffusion**2, square, rtol=tolerance)
    np.testing.assert_allclose(got_log_snr, log_snr, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(np.log(got_snr), log_snr, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", SDES)
def test_time_at_inverts_log_snr(dtype, name):
    """Solvers and proposals that step in log snr land at the time that has it; values outside are clipped."""
    sde = SDES[name]
    t = jnp.asarray(np.clip(times(sde, 17), sde.t0, sde.t1), dtype)
    tolerance = {"float64": 1e-9, "float32": 3e-5}[dtype]
    time_at = jax.jit(sde.time_at)
    lam, again = jax.jit(lambda t: (sde.log_snr(t), sde.log_snr(sde.time_at(sde.log_snr(t)))))(t)
    np.testing.assert_allclose(again, lam, rtol=tolerance, atol=tolerance)
    ends = time_at(jnp.asarray([1e4, -1e4], dtype))
    np.testing.assert_allclose(ends, [sde.t0, sde.t1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SDES)
def test_finite_at_both_ends_in_float32(name):
    """A sampler or loss that starts with NaN: every coefficient at t0, t1 and between is a finite float32."""
    sde = SDES[name]
    t = jnp.asarray(times(sde, 5), jnp.float32)
    x = jnp.linspace(-1, 1, 15, dtype=jnp.float32).reshape(5, 3)

    @jax.jit
    def everything(x, t):
        values = [sde.alpha(t), sde.sigma(t), sde.diffusion(t), sde.snr(t), sde.log_snr(t), sde.drift(x, t)]
        values += [sde.velocity(x, -x, t), encode(sde, VELOCITY, x, x, t), sde.prior_logp(x)]
        for s, u in ((t, jnp.full_like(t, sde.t1)), (jnp.full_like(t, sde.t0), t)):
            values += [*sde.transition(s, u), *sde.discretize_step(x, s, u), *sde.posterior(x, x, u, s)]
        return values

    values = everything(x, t)
    assert all(value.dtype == jnp.float32 and np.all(np.isfinite(value)) for value in values)
    assert all(np.all(np.asarray(value) > 0) for value in values[:4])


@pytest.mark.parametrize("name", SDES)
def test_marginal_transition_and_posterior_are_consistent(x64, name):
    """p(x_u|x_t) composes over s, carries the marginal along, and p(x_s|x_t, x_0) is its Bayes inverse."""
    sde = SDES[name]
    t, s, u = (jnp.asarray([sde.t0 + share * (sde.t1 - sde.t0)]) for share in (0.1, 0.45, 0.8))
    r_ts, v_ts = sde.transition(t, s)
    r_su, v_su = sde.transition(s, u)
    r_tu, v_tu = sde.transition(t, u)
    np.testing.assert_allclose(r_tu, r_ts * r_su, rtol=1e-10)
    np.testing.assert_allclose(v_tu, r_su**2 * v_ts + v_su, rtol=1e-8)
    np.testing.assert_allclose(sde.alpha(u), r_tu * sde.alpha(t), rtol=1e-10)
    np.testing.assert_allclose(sde.sigma(u) ** 2, r_tu**2 * sde.sigma(t) ** 2 + v_tu, rtol=1e-10)

    # Product of Gaussians: prior N(alpha_s x_0, sigma_s^2) and likelihood N(r x_s, v) of x_u.
    x0, x = jnp.asarray([[0.3, -1.2]]), jnp.asarray([[0.7, 0.4]])
    mean, std = sde.posterior(x0, x, u, s)
    precision = 1 / sde.sigma(s) ** 2 + r_su**2 / v_su
    np.testing.assert_allclose(std**2, 1 / precision, rtol=1e-8)
    want = (sde.alpha(s) * x0 / sde.sigma(s) ** 2 + r_su * x / v_su) / precision
    np.testing.assert_allclose(mean, want, rtol=1e-8)


def test_ddpm_posterior_is_equations_6_and_7(x64):
    """The ancestral sampler's mean and variance in the symbols of 2006.11239."""
    betas = linear_betas()
    bar = np.cumprod(1 - betas)
    sde = ddpm(betas)
    index = np.array([1, 2, 10, 500, 999])
    x0, x = (jax.random.normal(jax.random.key(i), (5, 3)) for i in range(2))
    mean, std = sde.posterior(x0, x, jnp.asarray(sde.grid[index]), jnp.asarray(sde.grid[index - 1]))
    b, now, before = betas[index], bar[index], bar[index - 1]
    want = (np.sqrt(before) * b / (1 - now))[:, None] * x0 + (np.sqrt(1 - b) * (1 - before) / (1 - now))[:, None] * x
    np.testing.assert_allclose(mean, want, rtol=1e-8)
    np.testing.assert_allclose(std**2, (1 - before) / (1 - now) * b, rtol=1e-8)


@pytest.mark.parametrize("name", SDES)
def test_velocity_of_the_flow_is_the_slope_of_the_path(x64, name):
    """f x - g^2 score/2 with the conditional score is alpha' x_0 + sigma' eps, which is dx_t/dt."""
    sde = SDES[name]
    t = jnp.asarray(times(sde, 7)[1:-1] + 1e-5)
    x0, eps = (jax.random.normal(jax.random.key(i), (5, 2)) for i in range(2))

    def path(t):
        return expand(sde.alpha(t), x0) * x0 + expand(sde.sigma(t), x0) * eps

    got = sde.velocity(path(t), -eps / expand(sde.sigma(t), x0), t)
    np.testing.assert_allclose(got, encode(sde, VELOCITY, x0, eps, t), rtol=1e-8, atol=1e-8)
    h = 1e-6 * (sde.t1 - sde.t0)
    np.testing.assert_allclose(got, (path(t + h) - path(t - h)) / (2 * h), rtol=1e-5, atol=1e-5)


def test_rectified_flow_velocity_is_noise_minus_data(x64):
    sde, t = rectified_flow(), jnp.asarray([0.2, 0.9])
    x0, eps = (jax.random.normal(jax.random.key(i), (2, 3)) for i in range(2))
    np.testing.assert_allclose(encode(sde, VELOCITY, x0, eps, t), eps - x0, rtol=1e-12)


def test_prior_logp_is_the_normal_density(x64):
    """Nats over all dimensions, at the prior's own scale."""
    z = jnp.asarray([[1.0, -2.0, 3.0]])
    want = np.sum(-0.5 * np.asarray(z) ** 2 / 80**2 - np.log(80) - 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(edm().prior_logp(z), [want], rtol=1e-12)


def test_vdm_takes_a_learned_schedule():
    """gamma may close over parameters: gradients reach them through alpha, sigma and the derived weight."""

    def weight(top):
        return jnp.sum(vdm(lambda t: -5 + top * t**2).diffusion(jnp.asarray([0.5])))

    gradient = jax.grad(weight)(8.0)
    h = 1e-2
    np.testing.assert_allclose(gradient, (weight(8.0 + h) - weight(8.0 - h)) / (2 * h), rtol=1e-3)


def test_tables_that_are_no_process_are_refused():
    """NaN later instead of a sentence now: linear betas leave (0, 1) below 21 steps, levels must grow."""
    with pytest.raises(ValueError, match="ascending"):
        ncsn(geometric_sigmas()[::-1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        ddpm(linear_betas(10))
