"""Inverse problems: score_sde's runs on recorded noise, and posteriors that are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import exact_denoiser, mixture, mixture_denoiser
from processes import SDES

from jaxgen.conditioning import departure, dps, known, pigdm, posterior_variance, replaced
from jaxgen.denoiser import Denoiser
from jaxgen.operators import Operator, blur, grey, inpainting, matrix, pooling
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V
from jaxgen.sampling import grids
from jaxgen.sampling.langevin import annealed_langevin, corrector_predictor, langevin, predictor_corrector
from jaxgen.sampling.multistep import dpmpp_2m
from jaxgen.sampling.noise import recorded
from jaxgen.sampling.ode import probability_flow
from jaxgen.sampling.published import correct, predict, times
from jaxgen.sampling.sample import as_it_is, clean, sample
from jaxgen.sampling.solvers import ddim, heun
from jaxgen.sampling.steps import ancestral, reverse_diffusion
from jaxgen.sde import edm, expand, subvp, ve, vp


def linear_score(name, sde):
    def score(x, t, cond=None):
        value = expand(-(0.8 + 0.5 * t), x) * x + expand(0.2 * jnp.cos(3 * t), x)
        return value / expand(1 + sde.sigma(t) ** 2, x) if name == "ve" else value

    return score


RUNS = ["ve/reverse_diffusion/langevin", "vp/euler_maruyama/none", "vp/reverse_diffusion/langevin"]
# The rotation of colours that score_sde rounded to float32; grey is its first coordinate.
ROTATION = np.array(
    [
        [5.7735014e-01, -8.1649649e-01, 4.7008697e-08],
        [5.7735026e-01, 4.0824834e-01, 7.0710671e-01],
        [5.7735026e-01, 4.0824822e-01, -7.0710683e-01],
    ]
)


def rotated_grey():
    """`grey` in the digits of ROTATION: A x is the first coordinate of x ROTATION, and A^+ the way back from it."""
    back = np.linalg.inv(ROTATION)[0]
    return Operator(lambda x: x @ ROTATION[:, :1], lambda y: y * back, lambda y, damping: y)


@pytest.mark.parametrize("task", ["inpaint", "color"])
@pytest.mark.parametrize("run", RUNS)
def test_published_runs(task, run, golden, x64):
    """Breaks if replacement differs from score_sde's inpainting and colorization in order, time or noise.

    Its quirks are composed here: it noises the data of the time before a step, begins from known data without noise
    (and without the first colour of the prior), and its noise removal leaves the noise of the unknown pixels."""
    data = golden("controllable")
    name, predictor, corrector = run.split("/")
    n, end = int(data[f"{name}/N"]), float(data[f"{task}/{run}/eps"])
    sde = {"ve": ve(), "vp": vp()}[name]
    noise = jnp.asarray(data[f"{task}/{run}/noise"])
    draws, start = noise[1:].reshape(n, -1, *noise.shape[1:]), noise[0] * sde.prior_std
    if task == "inpaint":
        operator = inpainting(data["mask"], (4, 4, 3))
        y = operator.forward(jnp.asarray(data["img"]))
        start = operator.impose(start, y)
    else:
        operator = rotated_grey()
        y = operator.forward(jnp.asarray(data["gray"]))
        start = start.at[..., 0].set(0) + operator.inverse(y)
        masking = [-1, 0] if corrector == "none" else [1, 3]  # these were drawn in rotated colours
        draws = draws.at[:, masking].set(draws[:, masking, ..., :1] * np.linalg.inv(ROTATION)[0])

    def drawn(operator, y, finish):
        before = replaced(operator, y, departure)
        solver = corrector_predictor(before(correct(sde, n, corrector)), before(predict(sde, n, predictor)))
        den, keys = Denoiser(sde, SCORE, linear_score(name, sde)), jnp.zeros(len(start))
        options = {"x": start, "finish": finish, "noise": recorded(draws)}
        return sample(den, solver, times(sde, n, end), keys, start.shape, **options)

    noisy = drawn(operator, y, as_it_is)
    np.testing.assert_allclose(noisy, data[f"{task}/{run}/denoise0"], rtol=1e-8, atol=1e-8)
    last = known(operator, sde.alpha(jnp.asarray(end)) * y)
    np.testing.assert_allclose(drawn(operator, y, last(as_it_is)), data[f"{task}/{run}/denoise1"], rtol=1e-8, atol=1e-8)
    if task == "color":
        mean = grey((4, 4, 3))
        np.testing.assert_allclose(drawn(mean, mean.forward(jnp.asarray(data["gray"])), as_it_is), noisy, atol=1e-5)


IMAGE = (2, 3, 1)
RNG = np.random.default_rng(0)
MEAN = RNG.standard_normal(IMAGE)
STD = 0.7
M = RNG.standard_normal((3, 6))


def posterior(y, noise):
    """Mean and covariance of p(x_0 | M x_0 + noise z = y) for data N(MEAN, STD^2 I)."""
    gain = STD**2 * M.T @ np.linalg.inv(STD**2 * M @ M.T + noise**2 * np.eye(3))
    return MEAN.reshape(-1) + gain @ (y - M @ MEAN.reshape(-1)), STD**2 * (np.eye(6) - gain @ M)


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("name", SDES)
def test_pigdm_is_the_posterior_of_gaussian_data(name, noise, x64):
    """Breaks if the guided score is not that of p(x_t | y), at any time of any process, whatever is predicted."""
    sde = SDES[name]
    y = RNG.standard_normal((5, 3))
    t = jnp.linspace(0.9 * sde.t0 + 0.1 * sde.t1, sde.t1, 5)
    alpha, sigma = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t))
    x = alpha[:, None] * MEAN.reshape(-1) + sigma[:, None] * RNG.standard_normal((5, 6))
    wanted = []
    for i in range(5):
        mean, cov = posterior(y[i], noise)
        wanted.append(-np.linalg.solve(alpha[i] ** 2 * cov + sigma[i] ** 2 * np.eye(6), x[i] - alpha[i] * mean))
    guide = pigdm(matrix(M, IMAGE), jnp.asarray(y), posterior_variance(STD), noise)
    for prediction in (X0, EPS, SCORE, V, VELOCITY) if name == "vp" else (EPS,):
        den = guide(mixture_denoiser(sde, [1.0], MEAN[None], [STD], prediction))
        score = jax.jit(den.score)(jnp.asarray(x).reshape(5, *IMAGE), t).reshape(5, 6)
        np.testing.assert_allclose(sigma[:, None] * score, sigma[:, None] * np.array(wanted), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("solver", [heun(), dpmpp_2m(), ancestral(), ddim(0.5)], ids=["heun", "2m", "ancestral", "eta"])
def test_pigdm_draws_the_posterior(solver):
    """Breaks if samples have another mean or covariance than p(x_0 | y), with or without noise in the steps."""
    y, n = np.array([1.0, -0.5, 2.0]), 4000
    mean, cov = posterior(y, 0.3)
    guide = pigdm(matrix(M, IMAGE), jnp.tile(jnp.asarray(y, jnp.float32), (n, 1)), posterior_variance(STD), 0.3)
    den = guide(mixture_denoiser(vp(), [1.0], MEAN[None], [STD]))
    x = jax.jit(lambda key: sample(den, solver, grids.log_snr(vp(), 300), key, (n, *IMAGE)))(jax.random.key(0))
    x = np.asarray(x, np.float64).reshape(n, 6)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.04)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.04)


# Two kinds of images, all bright or all dark: what is seen of one tells the rest.
TWO = mixture([0.5, 0.5], np.stack([np.full((4, 4, 2), level) for level in (0.8, -0.8)]), [0.1, 0.1])
HALF = np.zeros((4, 4, 1))
HALF[:, :2] = 1
SOLVERS = {
    "heun": heun(),
    "dpmpp_2m": dpmpp_2m(),
    "predictor_corrector": predictor_corrector(ancestral(), langevin(0.1)),
    "corrector_predictor": corrector_predictor(annealed_langevin(0.1), ddim(1.0)),
}


def ending(operator, y):
    """The denoised image with the given part put into it."""
    return known(operator, y)(clean)


def restored(sde, solver, method, operator, n=40, finish=clean, images=8):
    """(truth, restored): the first half of `images` bright, the others dark."""
    cond = jnp.repeat(jnp.arange(2), images // 2)
    noise = jax.random.normal(jax.random.key(1), (images, 4, 4, 2))
    truth = jnp.asarray(TWO.means, jnp.float32)[cond] + 0.1 * noise
    y = operator.forward(truth)
    den = exact_denoiser(sde, TWO)
    if method == "replacement":
        solver = replaced(operator, y)(solver)
    if method == "pigdm":
        den = pigdm(operator, y, posterior_variance(0.8))(den)
    if method == "dps":
        solver = dps(operator, y)(solver)
    draw = jax.jit(lambda key: sample(den, solver, grids.karras(sde, n), key, truth.shape, finish=finish(operator, y)))
    return np.asarray(truth), np.asarray(draw(jax.random.key(0)))


REPLACED = [(name, "replacement") for name in ("vp", "subvp", "ve", "edm", "rectified_flow", "discretized_vp")]


@pytest.mark.parametrize(("name", "method"), [*REPLACED, ("vp", "dps"), ("edm", "dps"), ("rectified_flow", "dps")])
def test_what_is_seen_decides_what_is_not(name, method):
    """Breaks if a method fails on a process: the unseen half must become that of the same image, without a trace of
    noise, and the seen half be the given one to the last digit."""
    solver = ancestral() if method == "replacement" else heun()
    truth, x = restored(SDES[name], solver, method, inpainting(HALF, (4, 4, 2)), finish=ending)
    np.testing.assert_array_equal(x[:, :, :2], truth[:, :, :2])
    assert np.abs(x[:, :, 2:] - np.sign(truth[:, :, 2:]) * 0.8).max() < 0.7


@pytest.mark.parametrize(
    ("operator", "method"),
    [(grey((4, 4, 2)), "pigdm"), (blur((4, 4, 2), 0.6), "pigdm"), (pooling((4, 4, 2), 2), "dps")],
    ids=["grey", "blur", "pooling"],
)
def test_guidance_alone_approaches_the_measurement(operator, method):
    """Breaks if guidance leaves the measured part where the model alone would put it, in the wrong half of the times
    0.8 away: it ends far within the spread of the data, 0.1, without being put there."""
    truth, x = restored(vp(), heun(), method, operator, n=60, finish=lambda *given: clean)
    error = np.asarray(operator.forward(jnp.asarray(x - truth)))
    assert np.sqrt(np.mean(error**2)) < 0.02


WIDE = mixture([1.0], np.zeros((1, 4, 4, 2)), [0.5])


@pytest.mark.parametrize("name", ["vp", "subvp", "edm", "rectified_flow"])
def test_dps_meets_the_measurement_of_wide_data(name):
    """Breaks if DPS stays apart from the measurement on a process, for want of steps or for jumping over it: where
    single data spread by 0.5, the error falls with the steps, and what is not seen keeps its spread."""
    operator = inpainting(HALF, (4, 4, 2))
    y = operator.forward(0.5 * jax.random.normal(jax.random.key(1), (16, 4, 4, 2)))
    den, errors = exact_denoiser(SDES[name], WIDE), []
    for n in (10, 50):
        grid, solver = grids.karras(SDES[name], n), dps(operator, y)(dpmpp_2m())
        x = np.asarray(jax.jit(lambda key, g=grid, s=solver: sample(den, s, g, key, y.shape))(jax.random.key(0)))
        errors.append(np.sqrt(np.mean((x - y)[:, :, :2] ** 2)))
    assert errors[0] < 0.4 and errors[1] < 0.003
    assert 0.4 < x[:, :, 2:].std() < 0.6


def test_a_step_of_dps_is_the_published_one(x64):
    """Breaks if a step is not algorithm 1 of the paper, zeta = zeta' / |y - A x0| times the gradient of the squared
    norm at x_t after the solver's own step: on its process, and on the variance-exploding one at the same noise level
    in units of that process, where a larger zeta' ends at the measurement and nothing is lost where nothing is seen."""
    operator, y = matrix(0.2 * M, IMAGE), jnp.asarray(RNG.standard_normal((5, 3)))
    x = jnp.asarray(RNG.standard_normal((5, *IMAGE)))
    ours, other = vp(), edm()
    t, s = jnp.full(5, 0.6), jnp.full(5, 0.5)

    def stepped(sde, solver, x, t, s):
        return solver.step(mixture_denoiser(sde, [1.0], MEAN[None], [STD]), (), x, t, s, lambda n: 0 * x, None)[0]

    def error(x):
        den = mixture_denoiser(ours, [1.0], MEAN[None], [STD])
        return jnp.sqrt(jnp.sum((y - operator.forward(den.x0(x, t))) ** 2, -1))

    plain = stepped(ours, ddim(), x, t, s)
    gradient = jax.grad(lambda x: jnp.sum(error(x) ** 2))(x)
    wanted = plain - expand(0.01 / error(x), x) * gradient
    solver = dps(operator, y, 0.01)(ddim())
    assert solver.evaluations == 2
    np.testing.assert_allclose(stepped(ours, solver, x, t, s), wanted, atol=1e-10)
    later, sooner = (other.time_at(ours.log_snr(time)) for time in (t, s))
    twin = stepped(other, solver, x * expand(1 / ours.alpha(t), x), later, sooner)
    np.testing.assert_allclose(twin * expand(ours.alpha(s), x), wanted, atol=1e-8)
    blind = dps(inpainting(np.zeros((2, 3, 1)), IMAGE), 0 * x)(ddim())
    np.testing.assert_array_equal(stepped(ours, blind, x, t, s), plain)


@pytest.mark.parametrize("solver", SOLVERS)
def test_replacement_composes_with_every_solver(solver):
    """Breaks if replacement goes wrong with the memory or the noises of a solver, or where score_sde fails: sub-VP with
    Langevin correctors, and fewer than 20 steps of its beta."""
    truth, x = restored(subvp(), SOLVERS[solver], "replacement", inpainting(HALF, (4, 4, 2)), n=16, finish=ending)
    np.testing.assert_array_equal(x[:, :, :2], truth[:, :, :2])
    assert (np.sign(x[:, :, 2:].mean((1, 2, 3))) == np.sign(truth.mean((1, 2, 3)))).mean() >= 0.75
    assert np.abs(np.abs(x[:, :, 2:]) - 0.8).max() < 0.7


def test_unknown_pixels_are_denoised(x64):
    """Breaks if the noise of the last step stays in the unknown pixels, as it does in score_sde: data without spread
    must be met exactly, while what score_sde returns misses by the noise at the last time."""
    sde = vp(t0=1e-3)
    image = jnp.linspace(-1, 1, 16).reshape(1, 4, 4, 1)
    den = mixture_denoiser(sde, [1.0], image, [1e-9])
    operator = inpainting(HALF, (4, 4, 1))
    y = operator.forward(image)
    solver = replaced(operator, y)(predictor_corrector(reverse_diffusion(), langevin(0.16)))
    grid, key = grids.uniform(sde, 40), jax.random.key(0)
    ours = sample(den, solver, grid, key, image.shape, finish=known(operator, y)(clean))
    np.testing.assert_allclose(ours, image, atol=1e-9)
    theirs = sample(den, solver, grid, key, image.shape, finish=known(operator, y)(as_it_is))
    assert np.abs(theirs - image)[:, :, 2:].mean() > 1e-3


def test_guidance_needs_no_steps():
    """Breaks if guidance cannot be used with the adaptive probability flow, whose times no grid knows."""
    operator = inpainting(HALF, (4, 4, 2))
    guide = pigdm(operator, operator.forward(jnp.full((1, 4, 4, 2), 0.8)), posterior_variance(0.8))
    den = guide(exact_denoiser(edm(), TWO))
    x = jax.jit(lambda key: probability_flow(den, key, (3, 4, 4, 2), 1e-3, 1e-3))(jax.random.key(0))
    np.testing.assert_allclose(x[:, :, :2], 0.8, atol=0.05)
    assert (x[:, :, 2:] > 0.2).all()
