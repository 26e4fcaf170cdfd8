"""The samplers of score_sde, step by step and whole, on recorded noise."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import sde as process
from jaxgen.denoiser import Denoiser, one
from jaxgen.likelihood import hutchinson, likelihood
from jaxgen.prediction import SCORE
from jaxgen.sampling.langevin import annealed_langevin, corrector_predictor, langevin
from jaxgen.sampling.noise import recorded
from jaxgen.sampling.ode import flow
from jaxgen.sampling.sample import Solver, as_it_is, last_mean, sample
from jaxgen.sampling.steps import (
    ancestral,
    euler_maruyama,
    large,
    reverse_diffusion,
    small,
    stay,
    table_index,
    truncated_index,
)
from jaxgen.sde import expand

N = 1000


def continuous(name, sigma_max=50.0):
    return {"ve": process.ve(sigma_max=sigma_max), "vp": process.vp(), "subvp": process.subvp()}[name]


def tables(name, n, sigma_max=50.0):
    """The discretization that score_sde's predictors of this process read."""
    if name == "ve":
        return process.ncsn(process.geometric_sigmas(n, 0.01, sigma_max))
    return process.ddpm(process.linear_betas(n))


def predictor(name, sde_name, n, stochasticity, sigma_max=50.0):
    table = truncated_index(tables(sde_name, n, sigma_max))
    euler = euler_maruyama(stochasticity, dt=1 / n)
    return {
        "euler_maruyama": euler,
        # sub-VP has no table: score_sde falls back to Euler there
        "reverse_diffusion": euler if sde_name == "subvp" else reverse_diffusion(stochasticity, table),
        "ancestral_sampling": ancestral(large if sde_name == "vp" else small, coefficients=table),
        "none": stay(),
    }[name]


def corrector(name, sde_name, n, steps, snr=0.16):
    def kept(sde, t):
        return 1 - jnp.asarray(process.linear_betas(n))[table_index(tables("vp", n), t)]

    scale = kept if sde_name == "vp" else one
    if name == "none":
        return Solver(lambda x, grid: (), lambda den, memory, x, t, s, draw, cond: (x, memory), evaluations=0)
    if name == "langevin":
        return langevin(snr, steps, scale)
    return annealed_langevin(snr, steps, scale)


def linear_score(sde_name, sde):
    def score(x, t, cond=None):
        value = expand(-(0.8 + 0.5 * t), x) * x + expand(0.2 * jnp.cos(3 * t), x)
        return value / expand(1 + sde.sigma(t) ** 2, x) if sde_name == "ve" else value

    return score


@pytest.mark.parametrize("name", ["ve", "vp", "subvp"])
def test_single_steps(name, golden, x64):
    """A predictor or corrector that moves one step differently from score_sde."""
    data = golden("sampler_steps")
    sde = continuous(name)
    den = Denoiser(sde, SCORE, linear_score(name, sde))
    t, x = jnp.asarray(data["t"]), jnp.asarray(data[f"{name}/x"])
    np.testing.assert_allclose(den.score(x, t), data[f"{name}/score"], rtol=1e-12)
    checked = 0
    for key in data:
        parts = key.split("/")
        if parts[0] != name or parts[-1] not in ("x", "x_mean") or len(parts) < 4:
            continue
        _, kind, method, variant, output = parts
        if kind == "pred":
            solver = predictor(method, name, N, 0.0 if variant == "pf1" else 1.0)
            noise = data["predictor_z"][None]
        else:
            solver = corrector(method, name, N, int(variant[1:]))
            noise = data["corrector_z"]
        moved, memory = solver.step(den, solver.init(x, t), x, t, t - 1 / N, lambda n, z=noise: jnp.asarray(z)[n], None)
        if output == "x":
            np.testing.assert_allclose(moved, data[key], rtol=1e-9, atol=1e-12, err_msg=key)
        elif kind == "pred":
            np.testing.assert_allclose(memory, data[key], rtol=1e-9, atol=1e-12, err_msg=key)
        checked += 1
    assert checked >= 10


def gaussian_score(data, sde):
    """The exact score of N(mu, cov) data, -(m^2 C + s^2 I)^-1 (x - m mu), for 16-dimensional images."""
    mu, cov = jnp.asarray(data["gauss/mu"]).reshape(-1), jnp.asarray(data["gauss/cov"])

    def score(x, t, cond=None):
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        noisy = alpha[:, None, None] ** 2 * cov + sigma[:, None, None] ** 2 * jnp.eye(len(mu))
        residual = x.reshape(len(x), -1) - alpha[:, None] * mu
        return -jnp.linalg.solve(noisy, residual[..., None]).reshape(x.shape)

    return score


@pytest.mark.parametrize("name", ["ve", "vp", "subvp"])
def test_predictor_corrector_runs(name, golden, x64):
    """Whole score_sde sampling runs: order of corrector and predictor, table lookup, noise removal."""
    data = golden("samplers")
    runs = sorted({key.rsplit("/", 1)[0] for key in data if key.startswith(f"pc/{name}/") and key.endswith("noise")})
    assert runs
    n = int(data[f"pc/{name}/N"])
    sigma_max = float(data.get(f"pc/{name}/sigma_max", 50.0))
    sde = continuous(name, sigma_max)
    den = Denoiser(sde, SCORE, gaussian_score(data, sde))
    eps = 1e-5 if name == "ve" else 1e-3
    # score_sde predicts from every one of n times, the last included; the time after it is never read.
    grid = jnp.append(jnp.linspace(1, eps, n), 0)
    for run in runs:
        _, _, predict, correct, variant = run.split("/")
        solver = corrector_predictor(
            corrector(correct, name, n, 1),
            predictor(predict, name, n, 0.0 if variant == "pf1" else 1.0, sigma_max),
        )
        noise = data[f"{run}/noise"]
        start = jnp.asarray(noise[0] * (sigma_max if name == "ve" else 1.0))
        draws = noise[1:].reshape(n, -1, *noise.shape[1:])
        for finish, output in ((as_it_is, "denoise0"), (last_mean, "denoise1")):
            x = sample(
                den,
                solver,
                grid,
                jnp.zeros(len(start)),
                start.shape,
                x=start,
                finish=finish,
                noise=recorded(jnp.asarray(draws)),
            )
            np.testing.assert_allclose(x, data[f"{run}/{output}"], rtol=1e-8, atol=1e-10, err_msg=run)


@pytest.mark.parametrize("name", ["ve", "vp", "subvp"])
def test_ode_runs(name, golden, x64):
    """The adaptive probability flow ends where the closed form says, and where score_sde's did within its tolerance."""
    data = golden("samplers")
    sde = continuous(name, float(data.get(f"ode/{name}/sigma_max", 50.0)))
    den = Denoiser(sde, SCORE, gaussian_score(data, sde))
    eps = float(data[f"ode/{name}/eps"])
    z = jnp.asarray(data[f"ode/{name}/z"])
    x, _ = flow(den, z, 1.0, eps, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(x, data[f"ode/{name}/exact"], atol=1e-6)
    np.testing.assert_allclose(x, data[f"ode/{name}/denoise0"], atol=2e-3)
    coarse, evaluations = flow(den, z, 1.0, eps, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(coarse, data[f"ode/{name}/exact"], atol=2e-3)
    assert np.max(evaluations) <= 1.5 * data[f"ode/{name}/nfe"]


@pytest.mark.parametrize("probe", ["Rademacher", "Gaussian"])
@pytest.mark.parametrize("name", ["ve", "vp", "subvp"])
def test_likelihood(name, probe, golden, x64):
    """Bits per dimension with a recorded Hutchinson probe equal the exact value for that probe."""
    data = golden("samplers")
    sde = continuous(name, float(data.get(f"lik/{name}/sigma_max", 50.0)))
    den = Denoiser(sde, SCORE, gaussian_score(data, sde))
    x = jnp.asarray(data[f"lik/{name}/data"] if f"lik/{name}/data" in data else data["lik/data"])
    epsilon = jnp.asarray(data[f"lik/{name}/{probe}/epsilon"])
    result = likelihood(den, x, jnp.zeros(len(x)), hutchinson(lambda keys, x: epsilon), rtol=1e-8, atol=1e-8)
    bits = -result.logp / (x[0].size * np.log(2))
    np.testing.assert_allclose(bits, data[f"lik/{name}/{probe}/exact_bpd_given_epsilon_no_offset"], atol=1e-5)
    np.testing.assert_allclose(bits + 8, data[f"lik/{name}/{probe}/centered0/bpd"], atol=2e-3)
    np.testing.assert_allclose(result.latent, data[f"lik/{name}/exact_z"], atol=1e-4)
