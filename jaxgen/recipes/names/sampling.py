"""The names in how a diffusion model draws images."""

from collections.abc import Callable
from functools import partial
from math import inf

from jax import Array

from jaxgen.recipes.names.table import Table, constant
from jaxgen.sampling import grids, published
from jaxgen.sampling.langevin import (
    annealed_langevin,
    batch_mean,
    corrector_predictor,
    each,
    langevin,
    predictor_corrector,
)
from jaxgen.sampling.multistep import deis, dpm_multistep, dpmpp_2m, dpmpp_3m, lms, pndm
from jaxgen.sampling.ode import probability_flow
from jaxgen.sampling.sample import Solver, as_it_is, clean, last_mean
from jaxgen.sampling.singlestep import dpm2_ancestral, dpm_solver, dpmpp_2s_ancestral, dpmpp_sde, dpmpp_singlestep
from jaxgen.sampling.solvers import churn as churned
from jaxgen.sampling.solvers import ddim, heun
from jaxgen.sampling.steps import ancestral, euler_maruyama, large, reverse_diffusion, stay
from jaxgen.sampling.unipc import unipc

NORMS: Table = {
    "batch_mean": constant(batch_mean),
    "each": constant(each),
}


def churned_heun(churn: float = 0.0, low: float = 0.0, high: float = inf, scale: float = 1.0) -> Solver:
    """Heun's method; with `churn` > 0 the noise is first raised by that factor (2206.00364 algorithm 2)."""
    return churned(churn, low, high, scale)(heun()) if churn else heun()


def down_to(grid: Callable[..., Array]) -> Callable[..., Callable[..., Array]]:
    """The `grid` with the argument `end`."""

    def made(end: float | None = None) -> Callable[..., Array]:
        return partial(grid, end=end)

    return made


def adaptive_flow(rtol: float = 1e-5, atol: float = 1e-5, end: float | None = None) -> Callable[..., Array]:
    """The probability-flow ODE down to `end`."""
    return partial(probability_flow, rtol=rtol, atol=atol, end=end)


GRIDS: Table = {
    "uniform": down_to(grids.uniform),
    "karras": lambda rho=7.0: partial(grids.karras, rho=rho),
    "geometric": constant(grids.geometric),
    "log_snr": down_to(grids.log_snr),
    "quadratic": constant(grids.quadratic),
    "indices": constant(grids.indices),
    "score_sde": lambda end=1e-3: partial(published.times, end=end),
}
STEPS: Table = {  # solvers that go along a grid
    "ddim": ddim,
    "heun": churned_heun,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_3m": dpmpp_3m,
    "dpmpp_singlestep": dpmpp_singlestep,
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpm_solver": dpm_solver,
    "dpm_multistep": dpm_multistep,
    "dpm2_ancestral": dpm2_ancestral,
    "unipc": unipc,
    "deis": deis,
    "lms": lms,
    "pndm": pndm,
    "ancestral": constant(ancestral()),
    "ancestral_large": constant(ancestral(large)),
    "euler_maruyama": euler_maruyama,
    "reverse_diffusion": lambda stochasticity=1.0: reverse_diffusion(stochasticity),
    "langevin": lambda snr=0.16, steps=1, norm=batch_mean: langevin(snr, steps, norm=norm),
    "annealed_langevin": lambda snr=0.16, steps=1: annealed_langevin(snr, steps),
    "predictor_corrector": predictor_corrector,
    "corrector_predictor": corrector_predictor,
    "stay": stay,
}
SOLVERS: Table = {
    **STEPS,
    "probability_flow": adaptive_flow,
    "score_sde": published.score_sde,
}
FINISHES: Table = {
    "clean": constant(clean),
    "as_it_is": constant(as_it_is),
    "last_mean": constant(last_mean),
    "denoising_step": published.denoising_step,
}
