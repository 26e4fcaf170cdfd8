"""The samplers of score_sde, step by step and whole, on recorded noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import sde as process
from jaxgen.configuration import default, override
from jaxgen.data.transforms import between
from jaxgen.denoiser import Denoiser, denoiser, fractional_index
from jaxgen.likelihood import hutchinson, likelihood
from jaxgen.prediction import EPS, SCORE
from jaxgen.recipes.space import model_space
from jaxgen.sampling.grids import uniform
from jaxgen.sampling.noise import recorded
from jaxgen.sampling.ode import flow, probability_flow
from jaxgen.sampling.published import correct, denoising_step, predict, score_sde, times
from jaxgen.sampling.sample import as_it_is, evaluations, last_mean, sample
from jaxgen.sampling.steps import truncated_index
from jaxgen.sde import expand

N = 1000


def continuous(name, sigma_max=50.0):
    return {"ve": process.ve(sigma_max=sigma_max), "vp": process.vp(), "subvp": process.subvp()}[name]


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
            solver = predict(sde, N, method, 0.0 if variant == "pf1" else 1.0)
            noise = data["predictor_z"][None]
        else:
            solver = correct(sde, N, method, 0.16, int(variant[1:]))
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
    for run in runs:
        _, _, predictor, corrector, variant = run.split("/")
        solver = score_sde(sde, n, predictor, corrector, stochasticity=0.0 if variant == "pf1" else 1.0)
        noise = data[f"{run}/noise"]
        start = jnp.asarray(noise[0] * (sigma_max if name == "ve" else 1.0))
        draws = noise[1:].reshape(n, -1, *noise.shape[1:])
        for finish, output in ((as_it_is, "denoise0"), (last_mean, "denoise1")):
            x = sample(
                den,
                solver,
                times(sde, n, eps),
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
    for centered, low in ((0, 0.0), (1, -1.0)):  # the volume of a bin is the published offset
        data_section = override(default(), ["data.space=linear", f"data.space.low={low}"]).data
        bins = model_space(data_section, 256, bins=between(256)).bins
        offset = -bins.log_det(x) / (x[0].size * np.log(2))
        np.testing.assert_allclose(bits + offset, data[f"lik/{name}/{probe}/centered{centered}/bpd"], atol=2e-3)
    np.testing.assert_allclose(result.latent, data[f"lik/{name}/exact_z"], atol=1e-4)


@pytest.mark.parametrize("name", ["ve", "vp", "subvp"])
def test_denoising_after_the_ode(name, golden, x64):
    """score_sde's ODE sampler with its denoising step: one noiseless reverse-diffusion step at the last time."""
    data = golden("samplers")
    sde = continuous(name, float(data.get(f"ode/{name}/sigma_max", 50.0)))
    den = Denoiser(sde, SCORE, gaussian_score(data, sde))
    finish = denoising_step(sde, int(data[f"ode/{name}/N"]))
    x = jnp.asarray(data[f"ode/{name}/denoise0"])
    last = jnp.full(len(x), float(data[f"ode/{name}/eps"]))
    np.testing.assert_allclose(finish(den, None, x, last, None), data[f"ode/{name}/denoise1"], rtol=1e-9, atol=1e-11)


def test_a_model_trained_on_a_table_is_read_at_the_truncated_index(x64):
    """An eps network on DDPM's table must be told t (N - 1) as it is, and divided by sigma of trunc(t (N - 1)), as the
    published samples were drawn; all other reading is shared with the continuous processes."""
    n = 50
    sde = process.ddpm(process.linear_betas(n))
    told = []

    def network(params, x, label, cond=None):
        told.append(label)
        return jnp.tanh(x)

    den = denoiser(network, None, sde, EPS, fractional_index)
    solver = score_sde(sde, n, "ancestral_sampling", "none")
    x, z = np.random.default_rng(0).normal(size=(2, 3, 4))
    t = np.array([0.999, 0.5, 1e-3])
    moved, mean = solver.step(den, (), *map(jnp.asarray, (x, t, t)), lambda draw: jnp.asarray(z), None)
    index = np.trunc(t * (n - 1)).astype(int)
    betas = np.linspace(0.1 / n, 20 / n, n)
    sigma, beta = np.sqrt(1 - np.cumprod(1 - betas))[index, None], betas[index, None]
    expected = (x - beta * np.tanh(x) / sigma) / np.sqrt(1 - beta)
    np.testing.assert_allclose(told[0], t * (n - 1), rtol=1e-12)
    np.testing.assert_allclose(mean, expected, rtol=1e-9)
    np.testing.assert_allclose(moved, expected + np.sqrt(beta) * z, rtol=1e-9)


@pytest.mark.parametrize("steps", [6, 12, 15])
def test_tables_that_do_not_exist_are_refused(steps):
    """VP with n <= beta_max has beta_i >= 1, and NaN images in the original; a sentence must name what fits. Its
    Euler steps read no table and stay."""
    with pytest.raises(ValueError, match=f"more than 20 scales, got n={steps}: take more steps, or .* ddim"):
        score_sde(process.vp(), steps)
    assert score_sde(process.vp(), steps, "euler_maruyama", "none").evaluations == 1


@pytest.mark.parametrize("corrector", ["langevin", "ald"])
def test_subvp_takes_langevin_correctors(corrector, x64):
    """An error in the original. The step must be scaled by 1 - beta_i of sub-VP's drift, which is VP's, and the whole
    sampler give finite images."""
    n, sde = 100, process.subvp()
    x, score, z = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4, 6)))
    t = jnp.asarray([1.0, 0.7, 0.2, 0.01])

    def shift(process):
        den = Denoiser(process, SCORE, lambda x, t, cond: score)
        return correct(process, n, corrector).step(den, (), x, t, t, lambda draw: z, None)[0] - x

    betas = process.linear_betas(n)[np.trunc(t * (n - 1)).astype(int)]
    size = 2 * (1 - betas) * (0.16 * np.asarray(sde.sigma(t))) ** 2
    if corrector == "langevin":
        norms = [np.mean(np.linalg.norm(value, axis=-1)) for value in (z, score)]
        size = 2 * (1 - betas) * (0.16 * norms[0] / norms[1]) ** 2
    np.testing.assert_allclose(shift(sde), size[:, None] * score + np.sqrt(2 * size)[:, None] * z, rtol=1e-9)
    gaussian = Denoiser(sde, SCORE, lambda x, t, cond: -x / expand(sde.alpha(t) ** 2 + sde.sigma(t) ** 2, x))
    solver = score_sde(sde, n, "euler_maruyama", corrector)
    drawn = sample(gaussian, solver, times(sde, n), jax.random.key(0), (500, 6), finish=last_mean)
    assert 0.8 < float(jnp.std(drawn)) < 1.2


def test_evaluations_are_those_that_are_made():
    """The original reports n (n_steps + 1) also without a corrector."""
    for corrector, calls in (("none", 12), ("langevin", 36)):
        made, sde = [], process.ve()

        def score(x, t, cond, made=made):
            jax.debug.callback(lambda: made.append(1))
            return -x

        solver = score_sde(sde, 12, "reverse_diffusion", corrector, corrector_steps=2)
        grid = times(sde, 12, 1e-5)
        sample(Denoiser(sde, SCORE, score), solver, grid, jax.random.key(0), (2, 3), finish=last_mean)
        jax.effects_barrier()
        assert len(made) == calls == evaluations(solver, len(grid), last_mean)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: score_sde(process.edm(), 100), "knows VE, VP and sub-VP .* on \\[0.002, 80\\]: take predictor_corr"),
        (lambda: score_sde(process.rectified_flow(), 100), "knows VE, VP and sub-VP"),
        (lambda: score_sde(process.subvp(), 100, "ancestral_sampling"), "sub-VP does not have: take predictor=euler"),
        (lambda: score_sde(process.ddpm(process.linear_betas(50)), 100), "50 scales of this process, got n=100"),
        (lambda: score_sde(process.vp(), 100, "euler"), "predictors are euler_maruyama, .*, got 'euler'"),
        (lambda: score_sde(process.vp(), 100, corrector="mala"), "correctors are langevin, ald, none, got 'mala'"),
        (lambda: truncated_index(process.vp()), "expected a discretized process"),
    ],
)
def test_processes_without_the_tables_are_refused(make, error):
    """A process, predictor or corrector that the published sampler does not have must not end in NaN or a traceback
    from inside the loop."""
    with pytest.raises(ValueError, match=error):
        make()


def test_sampling_ends_before_training_does(golden, x64):
    """VP is trained from t = 1e-5 but sampled to 1e-3: an ODE or a grid that goes on to t0 gives other images."""
    data, sde = golden("samplers"), process.vp()
    den = Denoiser(sde, SCORE, gaussian_score(data, sde))
    z, end = jnp.asarray(data["ode/vp/z"]), float(data["ode/vp/eps"])
    x = probability_flow(den, jax.random.key(0), z.shape, 1e-8, 1e-8, x=z, finish=as_it_is, end=end)
    np.testing.assert_allclose(x, data["ode/vp/exact"], atol=1e-6)
    assert end == 1e-3 and sde.t0 == 1e-5
    np.testing.assert_allclose(uniform(sde, 5, end), np.linspace(1, end, 5))
