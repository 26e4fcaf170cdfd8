"""Whole trajectories of diffusers' schedulers: what their users know a solver's name to mean.

The network is A x + B sin(t), in whatever prediction the scheduler takes it for. The time of the process is the noise
level sigma/alpha here, so that any list of levels (Karras, exponential, flow, ..) is a grid.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import sde as process
from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, SCORE, VELOCITY, Prediction, V, edm_output, encode
from jaxgen.sampling.grids import refine
from jaxgen.sampling.multistep import deis, dpm_multistep, dpmpp_2m, dpmpp_3m, lms, pndm
from jaxgen.sampling.noise import recorded
from jaxgen.sampling.published import score_sde
from jaxgen.sampling.sample import Solver, as_it_is, clean, last_mean, sample
from jaxgen.sampling.singlestep import dpm2_ancestral, dpm_solver, dpmpp_singlestep
from jaxgen.sampling.solvers import ddim, heun
from jaxgen.sampling.steps import ancestral, large
from jaxgen.sampling.unipc import unipc
from jaxgen.sde import SDE, expand


def vp_by_level(low, high):
    """Variance preserving, its time the noise level."""
    return SDE(lambda t: 1 / jnp.sqrt(1 + t**2), lambda t: t / jnp.sqrt(1 + t**2), low, high)


def flow_by_level(low, high):
    """Rectified flow, whose time is diffusers' flow sigma; eps - x0 is its velocity."""
    return process.rectified_flow(low, high)


class Case(NamedTuple):
    """A scheduler: its solver, and how its levels, network and states are to be read."""

    solver: Solver
    prediction: Prediction = EPS
    family: Callable[[float, float], SDE] = vp_by_level
    exploding: bool = False  # states are x/alpha
    stages: Callable[[SDE, jax.Array], jax.Array] = lambda sde, grid: grid
    to_zero: bool = False  # the solver itself goes to sigma = 0
    table: str | None = None  # levels are those of this table at the time steps


def twice(sde, grid):
    """The stages of DPM-Solver-2 with ancestral noise at eta = 1: half way to the lower level is the next level."""
    return jnp.concatenate([grid[:1], jnp.repeat(grid[1:], 2)])


def without_halves(sde, grid):
    """The Runge-Kutta solver finds the middles of its three steps itself."""
    return jnp.concatenate([grid[:6:2], grid[6:]])


def clip(den):
    """x0 kept in [-1, 1], eps following from it."""

    def fn(x, t, cond=None):
        x0 = jnp.clip(den.x0(x, t, cond), -1, 1)
        eps = (x - expand(den.sde.alpha(t), x) * x0) / expand(den.sde.sigma(t), x)
        return encode(den.sde, den.prediction, x0, eps, t)

    return den._replace(fn=fn)


def negative_edm(sde, t):
    """What its v-prediction means to diffusers: -F."""
    a, b = edm_output(0.5)(sde, t)
    return -a, -b


SD, LINEAR, COSINE = "scaled_linear_sd", "linear", "squaredcos_cap_v2"
ZERO_SNR = "rescale_zero_snr/scaled_linear_sd_betas"
K = {"exploding": True}
FLOW = {"prediction": VELOCITY, "family": flow_by_level}
EDM = {"prediction": edm_output(0.5), "family": process.edm}
TEN = {
    "ddpm_linear_fixedsmall": Case(ancestral(), table=LINEAR),
    "ddpm_linear_fixedlarge_clip": Case(ancestral(large), table=LINEAR),
    "ddpm_cosine_vpred_trailing": Case(ancestral(), V, table=COSINE),
    "ddim_sd_eta0": Case(ddim(), table=SD),
    "ddim_sd_eta05": Case(ddim(0.5), table=SD),
    "ddim_sd_zerosnr_vpred_trailing": Case(ddim(), V, table=ZERO_SNR),
    "ddim_linear_eta1": Case(ddim(1.0), table=LINEAR),
    "ddim_linear_eta0_clip": Case(ddim(), table=LINEAR),
    "euler_sd_default": Case(ddim(), **K),
    "euler_sd_karras": Case(ddim(), **K),
    "euler_sd_exponential": Case(ddim(), **K),
    "euler_sd_beta": Case(ddim(), **K),
    "euler_sd_leading_off1": Case(ddim(), **K),
    "euler_sd_trailing": Case(ddim(), **K),
    "euler_sd_vpred": Case(ddim(), V, **K),
    "euler_sd_sigmamin": Case(ddim(), **K),
    "euler_sd_zerosnr": Case(ddim(), V, **K),
    "euler_ancestral_sd": Case(ddim(1.0), **K),
    "euler_ancestral_sd_vpred": Case(ddim(1.0), V, **K),
    "heun_sd": Case(heun(), **K),
    "heun_sd_karras": Case(heun(), **K),
    "kdpm2_sd": Case(dpm_solver(2), stages=refine, **K),
    "kdpm2_ancestral_sd": Case(dpm2_ancestral(), stages=twice, **K),
    "lms_sd": Case(lms(), to_zero=True, **K),
    "lms_sd_karras": Case(lms(), to_zero=True, **K),
    "dpmpp2m_sd": Case(dpmpp_2m()),
    "dpmpp2m_sd_heun": Case(dpmpp_2m("heun")),
    "dpmpp2m_sd_karras": Case(dpmpp_2m()),
    "dpmpp2m_sd_exponential": Case(dpmpp_2m()),
    "dpmpp2m_sd_lu": Case(dpmpp_2m()),
    "dpmpp2m_sd_sigmamin": Case(dpmpp_2m(final_order=1)),
    "dpmpp2m_sd_vpred_leading": Case(dpmpp_2m(), V),
    "dpmpp1_sd": Case(ddim()),
    "dpmpp3m_sd": Case(dpmpp_3m(final_order=2)),
    "dpmsolver2_sd": Case(dpm_multistep(2, final_order=1)),
    "dpmsolver3_linear": Case(dpm_multistep(3, final_order=1)),
    "dpmpp2m_euler_at_final": Case(dpmpp_2m()),
    "sde_dpmpp2m_sd": Case(dpmpp_2m(eta=1.0)),
    "sde_dpmpp2m_sd_heun": Case(dpmpp_2m("heun", eta=1.0)),
    "sde_dpmpp2m_sd_karras": Case(dpmpp_2m(eta=1.0)),
    "dpmpp2m_flow": Case(dpmpp_2m(), **FLOW),
    "dpmpp2s_sd": Case(dpmpp_singlestep(2)),
    "dpmpp3s_sd": Case(dpmpp_singlestep(3, "midpoint")),
    "dpmsolver2s_sd": Case(dpm_solver(2)),
    "deis2_sd": Case(deis(2, final_order=1)),
    "deis3_sd": Case(deis(3, final_order=1)),
    "unipc2_sd_bh2": Case(unipc(2)),
    "unipc2_sd_bh1": Case(unipc(2, "bh1", final_order=1)),
    "unipc3_sd_bh2": Case(unipc(3, final_order=2)),
    "unipc2_sd_karras": Case(unipc(2)),
    "unipc2_sd_noisepred": Case(unipc(2, prediction="eps", final_order=1)),
    "unipc2_linear_disablecorr0": Case(unipc(2, uncorrected=1)),
    "unipc2_flow": Case(unipc(2), **FLOW),
    "pndm_sd_skipprk": Case(pndm(), table=SD),
    "pndm_linear_prk": Case(pndm(warm_up="prk"), stages=without_halves, table=LINEAR),
    "flow_euler_shift1": Case(ddim(), **FLOW),
    "flow_euler_shift3": Case(ddim(), **FLOW),
    "flow_euler_dynamic_mu": Case(ddim(), **FLOW),
    "flow_euler_karras": Case(ddim(), **FLOW),
    "edm_euler_karras": Case(ddim(), **EDM),
    "edm_euler_exponential": Case(ddim(), **EDM),
    "edm_euler_vpred": Case(ddim(), negative_edm, process.edm),
    "edm_dpmpp2m": Case(dpmpp_2m(), **EDM),
    "edm_sde_dpmpp2m": Case(dpmpp_2m(eta=1.0), **EDM),
}
TWENTY = {  # where the last steps' order depends on how many there are
    "dpmpp3m_sd": Case(dpmpp_3m()),
    "dpmsolver3_linear": Case(dpm_multistep(3)),
    "dpmpp2s_sd": Case(dpmpp_singlestep(2)),
    "dpmpp3s_sd": Case(dpmpp_singlestep(3, "midpoint")),
    "deis3_sd": Case(deis(3)),
    "unipc3_sd_bh2": Case(unipc(3, final_order=2)),
}
CASES = {10: TEN, 20: TWENTY}


def read(data, name, case, golden):
    """(process, grid of levels, their network times, whether a step to sigma = 0 follows)."""
    times = data["timesteps"]
    labels = times[np.append(True, np.abs(np.diff(times)) > 1e-6)]
    if case.table is None:
        levels = np.asarray(list(dict.fromkeys(data["sigmas"].tolist())))
        ends = levels[-1] > 0 or case.to_zero
        levels = levels if ends else levels[:-1]
        if len(data["sigmas"]) >= 2 and ends and data["sigmas"][-1] == data["sigmas"][-2]:
            levels = np.append(levels, levels[-1])
        return case.family(levels.min(), levels.max()), jnp.asarray(levels), labels, not ends
    if case.table == ZERO_SNR:  # its last alpha is 0, which a process of betas cannot have
        alphas = jnp.sqrt(jnp.cumprod(1 - golden("schedules_tables")[ZERO_SNR]))
        sde = SDE(lambda t: alphas[jnp.round(999 * t).astype(int)], lambda t: jnp.sqrt(1 - sde.alpha(t) ** 2), 0.0, 1.0)
        return sde, jnp.asarray(labels) / 999, None, True
    betas = 1 - np.exp(np.diff(np.log(golden("schedules_tables")[f"alphas_cumprod/{case.table}"]), prepend=0))
    ends = "ddim_sd" in name or "pndm" in name  # set_alpha_to_one = False: the last step leads to the first table entry
    grid = np.append(labels, 0) if ends else labels
    return process.ddpm(betas), jnp.asarray(grid) / 999, None, not ends


def final(name, case, data, golden):
    """(our last image, the scheduler's)."""
    sde, levels, labels, to_clean = read(data, name, case, golden)
    grid = case.stages(sde, levels)
    known = jnp.asarray(list(dict.fromkeys(np.asarray(grid).tolist())))

    def network(x, t, cond=None):
        told = t[0] * 999 if labels is None else jnp.asarray(labels)[jnp.argmin(jnp.abs(known - t[0]))]
        scale = 1 / jnp.sqrt(t[0] ** 2 + 0.25) if case.family is process.edm else 1.0
        return 0.1 * scale * x + 0.05 * jnp.sin(told)

    den = Denoiser(sde, case.prediction, network)
    den = clip(den) if "clip" in name else den
    noise = jnp.asarray(data["noise"])[:, None] if "noise" in data else jnp.zeros((1, 1))
    noise = jnp.repeat(noise, 2, axis=0) if case.stages is twice else noise  # none is used inside of a step
    run = jax.jit(
        lambda x: sample(
            den,
            case.solver,
            grid,
            jax.random.key(0),
            x.shape,
            x=x,
            finish=clean if to_clean else as_it_is,
            noise=recorded(noise),
        )
    )
    x = run(jnp.asarray(data["x"][0]) * (sde.alpha(grid[0]) if case.exploding else 1.0))
    return x / (sde.alpha(grid[-1]) if case.exploding and not to_clean else 1.0), data["x"][-1]


@pytest.mark.parametrize(("steps", "name"), [(n, name) for n, cases in CASES.items() for name in cases])
def test_schedulers(steps, name, golden, x64):
    """A solver that ends in another image than the scheduler of its name."""
    data = golden("schedulers")
    prefix = f"{steps}/{name}/"
    data = {key.removeprefix(prefix): value for key, value in data.items() if key.startswith(prefix)}
    x, expected = final(name, CASES[steps][name], data, golden)
    # The cosine table is one of float32 logarithms.
    tolerance = 1e-8 if name.startswith("ddpm_cosine") else 1e-12
    np.testing.assert_allclose(x, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", ["sde_vp", "sde_ve"])
def test_score_sde_schedulers(name, golden, x64):
    """The samplers of score_sde as diffusers has them, noise and last mean included."""
    data = {key.rsplit("/")[-1]: value for key, value in golden("schedulers").items() if f"/{name}/" in key}
    steps, start, ends = len(data["timesteps"]), jnp.asarray(data["x"][0]), {as_it_is: data["x"][-1]}
    if name == "sde_vp":
        sde = process.vp()
        solver = score_sde(sde, steps, "euler_maruyama", "none")
        tolerance = 1e-7  # its times are float32
    else:
        sde = process.ve(0.01, 1348.0)
        solver = score_sde(sde, steps, "reverse_diffusion", "langevin", snr=0.15)
        ends[last_mean] = data["final_mean"]
        tolerance = 3e-6  # so is its table of noise levels

    def score(x, t, cond=None):
        if name == "sde_ve":
            return -x / expand(1 + sde.sigma(t) ** 2, x)
        return -(0.1 * x + expand(0.05 * jnp.sin(999 * t), x)) / expand(sde.sigma(t), x)

    den = Denoiser(sde, SCORE, score)
    grid = jnp.append(data["timesteps"], 0)
    noise = recorded(jnp.asarray(data["noise"]).reshape(steps, -1, *start.shape))
    for finish, expected in ends.items():
        x = sample(den, solver, grid, jax.random.key(0), start.shape, x=start, finish=finish, noise=noise)
        np.testing.assert_allclose(x, expected, rtol=0, atol=tolerance * np.abs(expected).max())
