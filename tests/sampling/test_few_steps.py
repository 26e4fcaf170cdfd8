"""Samplers as their authors run them: k-diffusion's and EDM's on noise levels, DPM-Solver's and UniPC's on VP.

EDM and k-diffusion make a last step to sigma = 0, of first order: here the finish.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import sde as process
from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, X0
from jaxgen.sampling import grids
from jaxgen.sampling.multistep import dpm_multistep, dpmpp_2m, dpmpp_3m, lms
from jaxgen.sampling.noise import recorded
from jaxgen.sampling.sample import as_it_is, clean, sample
from jaxgen.sampling.singlestep import (
    blocks,
    dpm2_ancestral,
    dpm_solver,
    dpmpp_2s_ancestral,
    dpmpp_sde,
    dpmpp_singlestep,
)
from jaxgen.sampling.solvers import churn, ddim, heun
from jaxgen.sampling.unipc import unipc
from jaxgen.sde import expand


def denoise(x, t, cond=None):
    t = expand(t, x)
    return (0.25 * x + 0.3 * t**2) / (0.25 + t**2) + 0.1 * jnp.tanh(x / (1 + t))


def plain(sde, grid):
    return grid


def twice(sde, grid):
    """The stages of a second-order ancestral step at eta = 1: half way to the lower level is the next level."""
    return jnp.concatenate([grid[:1], jnp.repeat(grid[1:], 2)])


def to_zero(sde, grid):
    """The step to sigma = 0 by the solver itself."""
    return jnp.append(grid, 0.0)


KDIFFUSION = {
    "euler": (ddim(), plain),
    "heun": (heun(), plain),
    "dpm_2": (dpm_solver(2), grids.refine),
    "lms": (lms(), to_zero),
    "dpmpp_2m": (dpmpp_2m(), plain),
    "euler_ancestral": (ddim(1.0), plain),
    "dpm_2_ancestral": (dpm2_ancestral(), twice),
    "dpmpp_2s_ancestral": (dpmpp_2s_ancestral(), twice),
    "dpmpp_sde": (dpmpp_sde(), grids.refine),
    "dpmpp_2m_sde": (dpmpp_2m(eta=1.0), plain),
    "dpmpp_2m_sde_heun": (dpmpp_2m("heun", eta=1.0), plain),
    "dpmpp_2m_sde_eta05": (dpmpp_2m(eta=0.5), plain),
    "dpmpp_3m_sde": (dpmpp_3m("heun", eta=1.0), plain),
    "euler_churn": (ddim(), plain),
    "heun_churn": (heun(), plain),
}


def run(solver, den, grid, x, finish=clean, noise=None):
    """sample(..) under jit, with recorded noise [draws in order, B, ...]."""
    table = None if noise is None else noise.reshape(-1, solver.draws, *x.shape)
    draws = {} if noise is None else {"noise": recorded(jnp.asarray(table))}
    return jax.jit(lambda x: sample(den, solver, grid, jax.random.key(0), x.shape, x=x, finish=finish, **draws))(x)


@pytest.mark.parametrize("name", KDIFFUSION)
def test_kdiffusion(name, golden, x64):
    """A solver under a name of k-diffusion that ends in another image."""
    data = golden("kdiffusion_edm_samplers")
    solver, stages = KDIFFUSION[name]
    levels = jnp.asarray(data["sigmas/karras_10"])[:-1]
    sde = process.edm(0.02, 80.0)
    noise = data.get(f"{name}_10/noise")
    if "churn" in name:
        solver = churn(min(4 / 10, 2**0.5 - 1), 0.05, 50.0, 1.003)(solver)
        # The step to 0 churns too, if its level does; at 0.02 it does not.
        noise = noise[:-1]
    elif not solver.draws:
        noise = None
    elif stages is twice:
        noise = np.repeat(noise, 2, axis=0)  # after the first stage none is used
    x = run(
        solver,
        Denoiser(sde, X0, denoise),
        stages(sde, levels),
        jnp.asarray(data["x0"]) * 80.0,
        as_it_is if stages is to_zero else clean,
        noise,
    )
    np.testing.assert_allclose(x, data[f"{name}_10/final"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["edm_det", "edm_stoch"])
def test_edm(name, golden, x64):
    """The sampler of EDM (2206.00364 algorithm 2), with and without churn."""
    data = golden("kdiffusion_edm_samplers")
    sde = process.edm()
    solver = heun() if name == "edm_det" else churn(min(4 / 10, 2**0.5 - 1), 0.05, 50.0, 1.003)(heun())
    noise = data[f"{name}_10/noise"][:-1] if name == "edm_stoch" else None
    x = run(solver, Denoiser(sde, X0, denoise), grids.karras(sde, 10), jnp.asarray(data["x0"]) * 80.0, clean, noise)
    np.testing.assert_allclose(x, data[f"{name}_10/final"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [10, 20])
def test_dpm_fast(steps, golden, x64):
    """DPM-Solver-fast: blocks of third order and what is left, each of equal stages in log-SNR."""
    data = golden("kdiffusion_edm_samplers")
    sde = process.edm(0.02, 80.0)
    size, stage = blocks(steps, 3, True)
    x = run(
        dpm_solver(3, lower_order_final=True),
        Denoiser(sde, X0, denoise),
        staged(sde, size[stage == 0]),
        jnp.asarray(data["x0"]) * 80.0,
        as_it_is,
    )
    np.testing.assert_allclose(x, data[f"dpm_fast_{steps}/final"], rtol=1e-9, atol=1e-9)


def staged(sde, sizes):
    """Blocks of equal length in log-SNR, each cut into its stages."""
    edges = np.linspace(*np.asarray(sde.log_snr(jnp.asarray([sde.t1, sde.t0]))), len(sizes) + 1)
    inner = [np.linspace(a, b, size + 1)[1:] for a, b, size in zip(edges[:-1], edges[1:], sizes, strict=True)]
    return sde.time_at(jnp.concatenate([edges[:1], *inner])).at[0].set(sde.t1).at[-1].set(sde.t0)


MULTISTEP = {
    "dpmsolver": {1: ddim(), 2: dpm_multistep(2), 3: dpm_multistep(3)},
    "dpmsolver++": {1: ddim(), 2: dpmpp_2m(), 3: dpmpp_3m()},
}
SINGLESTEP = {"dpmsolver": dpm_solver, "dpmsolver++": dpmpp_singlestep}
SKIPS = {"time_uniform": grids.uniform, "logSNR": grids.log_snr, "time_quadratic": grids.quadratic}


def continuous(data):
    """(denoiser, x_T) of the authors' continuous VP."""
    mean, std = data["mu_sd"]
    sde = process.vp(t0=1e-3)

    def eps(x, t, cond=None):
        alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
        return sigma * (x - alpha * mean) / (alpha**2 * std**2 + sigma**2) + 0.05 * jnp.tanh(x)

    return Denoiser(sde, EPS, eps), jnp.asarray(data["x_T"])


@pytest.mark.parametrize(("order", "skip"), [(1, "time_uniform"), *[(k, skip) for k in (2, 3) for skip in SKIPS]])
@pytest.mark.parametrize("algorithm", SINGLESTEP)
def test_dpm_solver(algorithm, order, skip, golden, x64):
    """DPM-Solver and DPM-Solver++ of all orders, multistep and singlestep, on the authors' grids."""
    data = golden("dpmsolver_unipc_continuous")
    den, x = continuous(data)
    grid = SKIPS[skip](den.sde, 11)
    key = f"o{order}/{skip}/n10"
    x_multistep = run(MULTISTEP[algorithm][order], den, grid, x, as_it_is)
    np.testing.assert_allclose(x_multistep, data[f"dpm/{algorithm}/multistep/{key}"], rtol=1e-9)
    for steps in (10, 15) if order == 3 else (10,):  # one and no step left over by blocks of three
        key = f"dpm/{algorithm}/singlestep/o{order}/{skip}/n{steps}"
        size, stage = blocks(steps, order, order == 3)
        grid = staged(den.sde, size[stage == 0]) if skip == "logSNR" else SKIPS[skip](den.sde, steps + 1)
        solver = SINGLESTEP[algorithm](order, lower_order_final=order == 3)
        np.testing.assert_allclose(run(solver, den, grid, x, as_it_is), data[key], rtol=1e-9)


def test_dpm_solver_denoises_to_zero(golden, x64):
    """The authors' "denoise_to_zero" is the finish `clean`, their "taylor" the variant "heun"."""
    data = golden("dpmsolver_unipc_continuous")
    den, x = continuous(data)
    grid = grids.uniform(den.sde, 11)
    key = "dpm/dpmsolver++/multistep/o2"
    ended = run(dpmpp_2m(), den, grid, x, clean)
    np.testing.assert_allclose(ended, data[f"{key}/time_uniform/n10/denoise_to_zero"], rtol=1e-9)
    taylor = run(dpmpp_2m("heun"), den, grid, x, as_it_is)
    np.testing.assert_allclose(taylor, data[f"{key}/taylor"], rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unipc(variant, order, golden, x64):
    """UniPC of all orders, in x0 and in eps."""
    data = golden("dpmsolver_unipc_continuous")
    den, x = continuous(data)
    for kind, prediction in (("data", "x0"), ("noise", "eps")):
        solver = unipc(order, variant, prediction, final_order=1)
        expected = data[f"unipc/{variant}/{kind}/o{order}/n10"]
        np.testing.assert_allclose(
            run(solver, den, grids.uniform(den.sde, 11), x, as_it_is), expected, rtol=1e-9, err_msg=kind
        )
