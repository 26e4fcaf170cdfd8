"""Every solver on every process against closed-form mixtures."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import exact_denoiser, mixture

from jaxgen import sde as process
from jaxgen.prediction import VELOCITY
from jaxgen.sampling import grids
from jaxgen.sampling.langevin import annealed_langevin, langevin, predictor_corrector
from jaxgen.sampling.multistep import deis, dpm_multistep, dpmpp_2m, dpmpp_3m, lms, pndm
from jaxgen.sampling.ode import flow, latent, probability_flow
from jaxgen.sampling.sample import as_it_is, evaluations, prior, sample
from jaxgen.sampling.singlestep import dpm2_ancestral, dpm_solver, dpmpp_2s_ancestral, dpmpp_sde, dpmpp_singlestep
from jaxgen.sampling.solvers import churn, ddim, heun
from jaxgen.sampling.steps import ancestral, euler_maruyama, reverse_diffusion
from jaxgen.sampling.unipc import unipc

DATA = mixture([0.5, 0.3, 0.2], [[-1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], [0.3, 0.3, 0.3])
PROCESSES = {
    "vp": process.vp(),
    "subvp": process.subvp(),
    "ve": process.ve(0.01, 20.0),
    "edm": process.edm(0.01, 20.0),
    "cosine": process.cosine(),
    "rectified_flow": process.rectified_flow(),
    "vdm": process.vdm(process.linear_gamma(-9.0, 6.0)),
    "ddpm": process.ddpm(process.linear_betas(1000)),
    "ncsn": process.ncsn(process.geometric_sigmas(1000, 0.01, 20.0)),
}
SOLVERS = {
    "ddim": ddim(),
    "ddim eta=0.5": ddim(0.5),
    "ancestral": ancestral(),
    "heun": heun(),
    "heun churned": churn(0.05)(heun()),
    "dpmpp_2m": dpmpp_2m(),
    "dpmpp_2m heun": dpmpp_2m("heun"),
    "dpmpp_2m sde": dpmpp_2m(eta=1.0),
    "dpmpp_3m": dpmpp_3m(),
    "dpmpp_3m sde": dpmpp_3m("heun", eta=1.0),
    "dpm_multistep": dpm_multistep(2, final_order=1),
    "dpm_solver_2": dpm_solver(2),
    "dpm_solver_3": dpm_solver(3, lower_order_final=True),
    "dpm_solver_3 taylor": dpm_solver(3, "taylor"),
    "dpmpp_2s": dpmpp_singlestep(2),
    "dpmpp_3s": dpmpp_singlestep(3),
    "dpm2_ancestral": dpm2_ancestral(),
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral(),
    "dpmpp_sde": dpmpp_sde(),
    "unipc_1": unipc(1),
    "unipc_2 bh1": unipc(2, "bh1"),
    "unipc_3": unipc(3, final_order=1),
    "unipc_3 eps": unipc(3, prediction="eps"),
    "unipc_3 vary_coeff": unipc(3, "vary_coeff"),
    "deis_2": deis(2),
    "deis_3": deis(3),
    "deis_3 x0": deis(3, prediction="x0"),
    "deis_3 rho": deis(3, "rho"),
    "deis_3 time": deis(3, "time"),
    "lms": lms(),
    "pndm": pndm(),
    "pndm prk": pndm(warm_up="prk"),
    "ipndm": pndm(warm_up="none"),
    "reverse_diffusion": reverse_diffusion(),
    "predictor_corrector": predictor_corrector(reverse_diffusion(), langevin(0.1)),
    "annealed": predictor_corrector(ancestral(), annealed_langevin(0.1)),
}


def check_moments(x):
    """Mean, covariance and the share of each mode are the mixture's, within four standard errors of 2,000 draws."""
    x = np.asarray(x)
    assert np.all(np.isfinite(x))
    mean = DATA.weights @ DATA.means
    second = np.einsum("k,ki,kj->ij", DATA.weights, DATA.means, DATA.means) + 0.09 * np.eye(2)
    covariance = second - np.outer(mean, mean)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.1)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.12)
    nearest = np.argmin(np.sum((x[:, None] - DATA.means) ** 2, -1), axis=1)
    np.testing.assert_allclose(np.bincount(nearest, minlength=3) / len(x), DATA.weights, atol=0.05)


@pytest.mark.parametrize(
    ("name", "solver"),
    [("vp", solver) for solver in SOLVERS] + [(name, "annealed") for name in PROCESSES if name != "vp"],
)
def test_samples_follow_the_mixture(name, solver):
    """A solver whose samples are of another distribution."""
    sde = PROCESSES[name]
    den = exact_denoiser(sde, DATA, VELOCITY)
    grid = grids.log_snr(sde, 65) if name not in ("ddpm", "ncsn") else grids.indices(sde, 100)
    check_moments(jax.jit(lambda key: sample(den, SOLVERS[solver], grid, key, (2000, 2)))(jax.random.key(1)))


def test_euler_maruyama_follows_the_mixture():
    """Euler-Maruyama, whose step is of first order only, on a fine grid of its process."""
    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    check_moments(sample(den, euler_maruyama(), grids.uniform(sde, 500), jax.random.key(2), (2000, 2)))


@pytest.mark.parametrize("name", ["subvp", "ve", "ddpm"])
def test_probability_flow_follows_the_mixture(name):
    """The adaptive ODE on every process, table-based ones included."""
    sde = PROCESSES[name]
    den = exact_denoiser(sde, DATA, VELOCITY)
    x = jax.jit(lambda key: probability_flow(den, key, (2000, 2), rtol=1e-4, atol=1e-4))(jax.random.key(3))
    check_moments(x)


# The measured order on equal steps of log-SNR. A first step of first order costs h^2 in all, so that of multistep
# solvers without a corrector or a warm-up is 2 at most; UniC adds one to the order of UniP.
ORDERS = {
    "ddim": 1,
    "heun": 2,
    "dpmpp_2m": 2,
    "dpmpp_2m heun": 2,
    "dpmpp_3m": 2,
    "dpm_multistep": 2,
    "dpm_solver_2": 2,
    "dpm_solver_3 whole": 3,
    "dpm_solver_3 taylor": 3,
    "dpmpp_2s": 2,
    "dpmpp_3s": 3,
    "unipc_1": 2,
    "unipc_2 bh1": 3,
    "unipc_3 whole": 3,
    "unipc_3 eps": 3,
    "unipc_3 vary_coeff": 3,
    "deis_2": 2,
    "deis_3": 2,
    "deis_3 x0": 2,
    "deis_3 rho": 2,
    "deis_3 time": 2,
    "lms": 2,
    "pndm": 2,
}
WHOLE = {"dpm_solver_3 whole": dpm_solver(3), "unipc_3 whole": unipc(3)}  # without steps of lower order in the end


@lru_cache
def smooth_flow(name):
    """(denoiser, start, end, x at start, x at end) from a moderate noise level down to a small one."""
    sde = PROCESSES[name]
    den = exact_denoiser(sde, DATA)
    start, end = sde.time_at(jnp.log(jnp.asarray([1 / 1.5**2, 1 / 0.2**2])))
    x = sde.alpha(start) * jnp.asarray([[0.3, 0.2], [-0.7, 0.4], [1.2, -0.8]]) + sde.sigma(start) * 0.7
    return den, start, end, x, exactly(name, x, start, end)


@partial(jax.jit, static_argnums=0)
def exactly(name, x, t, s):
    """x at s of the probability flow through x at t."""
    return flow(exact_denoiser(PROCESSES[name], DATA), x, t, s, rtol=1e-12, atol=1e-12)[0]


@pytest.mark.parametrize(
    ("name", "solver"),
    [("vp", solver) for solver in ORDERS]
    + [(name, solver) for name in ("ve", "rectified_flow") for solver in ("ddim", "heun", "dpmpp_2m", "dpmpp_3s")]
    + [(name, solver) for name in ("ve", "rectified_flow") for solver in ("dpm_solver_3 whole", "unipc_3 whole")],
)
def test_order_of_convergence(name, solver, x64):
    """Halving the step divides the distance to the exact flow by 2^order."""
    den, start, end, x, exact = smooth_flow(name)
    method = (SOLVERS | WHOLE)[solver]

    def error(n):
        grid = den.sde.time_at(jnp.linspace(den.sde.log_snr(start), den.sde.log_snr(end), n + 1))
        y = jax.jit(lambda x: sample(den, method, grid, jax.random.key(0), x.shape, x=x, finish=as_it_is))(x)
        return float(jnp.max(jnp.abs(y - exact)))

    measured = np.log2(error(60) / error(120))
    assert abs(measured - ORDERS[solver]) < 0.35, measured


# The order that the formulas themselves have, once they know enough evaluations.
FULL_ORDERS = {
    "dpmpp_2m": (dpmpp_2m(), 2, 2),  # solver, evaluations it looks back on, order
    "dpm_multistep": (dpm_multistep(2), 2, 2),
    "deis_3": (deis(3), 3, 3),
    "deis_3 x0": (deis(3, prediction="x0"), 3, 3),
    "deis_3 rho": (deis(3, "rho"), 3, 3),
    "deis_3 time": (deis(3, "time"), 3, 3),
    "deis_4": (deis(4), 4, 4),
    "lms_3": (lms(3), 3, 3),
    "lms_4": (lms(4), 4, 4),
    "pndm": (pndm(warm_up="none"), 4, 4),
}
EQUAL_IN_RHO = "pndm", "lms_3", "lms_4"


@pytest.mark.parametrize(
    ("name", "solver"),
    [("vp", solver) for solver in FULL_ORDERS]
    + [(name, solver) for name in ("ve", "rectified_flow") for solver in ("deis_3", "lms_4", "pndm")],
)
def test_order_after_an_exact_start(name, solver, x64):
    """Coefficients of the newest terms that are a little wrong: a start of first order hides them, an exact one does
    not."""
    den, start, end, x, exact = smooth_flow(name)
    method, back, order = FULL_ORDERS[solver]
    ends = den.sde.log_snr(jnp.stack([start, end]))

    def error(n):
        rho = jnp.linspace(*jnp.exp(-0.5 * ends), n + 1)
        grid = den.sde.time_at(-2 * jnp.log(rho) if solver in EQUAL_IN_RHO else jnp.linspace(*ends, n + 1))
        step = jax.jit(lambda x, memory, t, s: method.step(den, memory, x, t, s, lambda n: x, None))
        y, memory = x, method.init(x, grid)
        for i, (t, s) in enumerate(zip(grid[:-1], grid[1:], strict=True)):
            moved, memory = step(y, memory, jnp.full(len(x), t), jnp.full(len(x), s))
            y = exactly(name, y, t, s) if i < back - 1 else moved
        return float(jnp.max(jnp.abs(y - exact)))

    measured = np.log2(error(40) / error(80))
    assert abs(measured - order) < 0.35, measured


def test_ddim_with_eta_one_is_ancestral():
    """Two names of one sampler that drift apart."""
    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    grid = grids.uniform(sde, 30)
    x, y = (sample(den, solver, grid, jax.random.key(4), (16, 2)) for solver in (ddim(1.0), ancestral()))
    np.testing.assert_allclose(x, y, atol=2e-3)


def test_reverse_diffusion_without_noise_is_the_flow(x64):
    """k = 0 of the discretized reverse process converges to the probability flow, at first order."""
    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    key = jax.random.key(5)
    exact = probability_flow(den, key, (8, 2), rtol=1e-8, atol=1e-8)

    def error(n):
        return np.max(np.abs(sample(den, reverse_diffusion(0.0), grids.log_snr(sde, n), key, (8, 2)) - exact))

    coarse, fine = error(501), error(1001)
    assert fine < 0.05 and 1.7 < coarse / fine < 2.3


@pytest.mark.parametrize("steps", [6, 12, 15])
def test_few_steps_stay_finite(steps):
    """VP with few steps: score_sde's tables give beta > 1 and NaN there."""
    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    solver = predictor_corrector(ancestral(), langevin())
    assert np.all(np.isfinite(sample(den, solver, grids.uniform(sde, steps), jax.random.key(6), (64, 2))))


FAMILIES = [PROCESSES[name] for name in ("vp", "subvp", "ve", "edm", "rectified_flow")]
NOISY = "dpm2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde"


@pytest.mark.parametrize(
    ("solver", "n"),
    [(solver, 3) for solver in SOLVERS if solver != "pndm prk"]
    + [("pndm prk", 4), *((solver, n) for solver in NOISY for n in (2, 12))],
)
def test_long_steps_stay_finite(solver, n, jit):
    """Float32 that cancels over a step from pure noise to nearly none: sub-VP's noise falls to 1e-6 of its start."""

    def run(i, grid, x):  # one compilation for all the processes
        def either(name):
            return lambda t: jax.lax.switch(i, [getattr(sde, name) for sde in FAMILIES], t)

        ends = (jnp.asarray([getattr(sde, name) for sde in FAMILIES])[i] for name in ("t0", "t1"))
        sde = process.SDE(either("alpha"), either("sigma"), *ends)
        return sample(exact_denoiser(sde, DATA, VELOCITY), SOLVERS[solver], grid, jax.random.key(1), x.shape, x=x)

    run = jit(run)
    for i, sde in enumerate(FAMILIES):
        x = sde.prior_std * jax.random.normal(jax.random.key(0), (4, 2))
        assert np.all(np.isfinite(run(i, grids.karras(sde, n), x))), i


def test_image_i_depends_on_its_key_alone():
    """The same image in another batch, with noise, corrections and adaptive steps."""
    sde = process.ve(0.01, 20.0)
    den = exact_denoiser(sde, DATA)
    keys = jax.random.split(jax.random.key(7), 8)
    grid = grids.karras(sde, 20)
    solver = predictor_corrector(ancestral(), annealed_langevin())
    whole, part = sample(den, solver, grid, keys, (8, 2)), sample(den, solver, grid, keys[3:5], (2, 2))
    np.testing.assert_allclose(whole[3:5], part, atol=1e-5)
    whole, part = probability_flow(den, keys, (8, 2)), probability_flow(den, keys[3:5], (2, 2))
    np.testing.assert_allclose(whole[3:5], part, atol=1e-5)


def test_trajectory_runs_from_prior_to_image():
    """The recorded path starts at the prior draw, ends at the result and holds x at every time between."""
    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    key, grid = jax.random.key(8), grids.uniform(sde, 12)
    x, path = sample(den, ddim(), grid, key, (4, 2), trajectory=True)
    assert path.shape == (13, 4, 2)
    np.testing.assert_array_equal(path[0], prior(den, jax.random.split(key, 4), (4, 2)))
    np.testing.assert_array_equal(path[-1], x)
    halfway = sample(den, ddim(), grid[:7], key, (4, 2), finish=as_it_is)
    np.testing.assert_allclose(path[6], halfway, rtol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_evaluations_are_counted_truly(solver):
    """`evaluations` against the calls that really happen."""
    calls = []
    sde = process.vp()
    den = exact_denoiser(sde, DATA)

    def counting(x, t, cond=None):
        jax.debug.callback(lambda: calls.append(1))
        return den.fn(x, t, cond)

    jax.block_until_ready(
        sample(den._replace(fn=counting), SOLVERS[solver], grids.uniform(sde, 9), jax.random.key(0), (2, 2))
    )
    jax.effects_barrier()
    assert len(calls) == evaluations(SOLVERS[solver], 9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: unipc(4), "order must be 1 to 3, got 4"),
        (lambda: deis(5), "order must be 1 to 4, got 5"),
        (lambda: dpmpp_3m(final_order=0), "final_order must be 1 to 3, got 0"),
        (lambda: unipc(2, "bh3"), "variant must be one of bh1, bh2, vary_coeff, got 'bh3'"),
        (lambda: dpm_solver(2, "heun"), "variant must be one of dpm, midpoint, taylor, got 'heun'"),
        (lambda: pndm(warm_up="prk").init(jnp.zeros((1, 2)), jnp.linspace(1, 0, 3)), "at least 4 times, got 3"),
    ],
)
def test_what_a_solver_cannot_do_is_said(make, message):
    """An order without a formula, or a grid too short, must not end in an index error or in another method."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("solver", ["heun", "dpm_solver_3", "dpmpp_sde", "unipc_3", "deis_3", "pndm prk"])
def test_a_discrete_model_is_asked_for_its_own_times(solver):
    """A network that only knows the times of its process, evaluated between them."""
    sde = process.ddpm(process.linear_betas(100))
    den = exact_denoiser(sde, DATA)
    asked = []

    def noting(x, t, cond=None):
        jax.debug.callback(lambda t: asked.append(np.asarray(t)), t)
        return den.fn(x, t, cond)

    grid = grids.refine(sde, grids.uniform(sde, 8), 3)
    jax.block_until_ready(sample(den._replace(fn=noting), SOLVERS[solver], grid, jax.random.key(0), (2, 2)))
    jax.effects_barrier()
    assert len(asked) == evaluations(SOLVERS[solver], len(grid)) and len(grid) == 22
    np.testing.assert_allclose(np.min(np.abs(np.ravel(asked)[:, None] - sde.grid), axis=1), 0, atol=1e-6)


def test_latent_inverts_the_flow(x64):
    """data -> latent -> data."""
    sde = process.subvp()
    den = exact_denoiser(sde, DATA)
    x = jnp.asarray([[0.9, 0.8], [-1.1, 0.1]])
    z = latent(den, x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flow(den, z, sde.t1, sde.t0, rtol=1e-9, atol=1e-9)[0], x, atol=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_grids_run_from_t1_to_t0(name):
    """A grid that misses an end point, or goes back in time."""
    sde = PROCESSES[name]
    for make in (grids.uniform, grids.quadratic, grids.log_snr, grids.karras) + (
        (grids.geometric,) if sde.t0 > 0 else ()
    ):
        for n in (2, 21, 100):
            grid = np.asarray(make(sde, n))
            assert grid.shape == (n,)
            np.testing.assert_allclose(grid[[0, -1]], [sde.t1, sde.t0], rtol=1e-5, atol=1e-7)
            assert np.all(np.diff(grid) < 0)
            if sde.grid is not None:
                assert np.all(np.min(np.abs(grid[:, None] - sde.grid), axis=1) < 1e-6)


def test_a_grid_cannot_be_finer_than_the_process():
    """More steps than a discretized process has times would repeat one, and a multistep solver divide by zero."""
    with pytest.raises(ValueError, match="take fewer steps"):
        grids.uniform(process.discretize(process.vp(), 10), 11)


def test_karras_grid_of_edm():
    """The published noise levels: (80^(1/7) + i/17 (0.002^(1/7) - 80^(1/7)))^7."""
    ramp = 80 ** (1 / 7) + np.arange(18) / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))
    np.testing.assert_allclose(grids.karras(process.edm(), 18), ramp**7, rtol=2e-5)


def test_sharded_sampling_gives_the_same_images():
    """One and eight devices, noise included."""
    from jaxgen.parallel.mesh import batch_sharding, make_mesh

    sde = process.vp()
    den = exact_denoiser(sde, DATA)
    keys = jax.random.split(jax.random.key(9), 16)

    def run(keys):
        return sample(den, ancestral(), grids.uniform(sde, 10), keys, (16, 2))

    spread = jax.jit(run, out_shardings=batch_sharding(make_mesh()))(keys)
    assert len(spread.sharding.device_set) == 8
    np.testing.assert_allclose(spread, jax.jit(run)(keys), atol=1e-5)
