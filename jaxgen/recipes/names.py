"""Every name that a configuration may use, and the function it stands for: the only tables of names there are."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

import jax
from jax import Array
from ml_collections import ConfigDict

from jaxgen import sde
from jaxgen.configuration import call, default, expect, is_call, unknown
from jaxgen.data.transforms import affine, around, between, logit, nearest, quantize
from jaxgen.denoiser import (
    fractional_index,
    grid_index,
    identity,
    level_posterior,
    noise_level,
    one,
    quarter_log_sigma,
    reversed_index,
    times_999,
    unit_variance,
)
from jaxgen.likelihood import exact, hutchinson
from jaxgen.losses.denoising import eps_matching, half_total, likelihood, mean, ones, total, vlb
from jaxgen.losses.times import logit_normal, lognormal, steps, uniform, uniform_log_snr
from jaxgen.models import DDPM, MLP, NCSNpp, NCSNv1, NCSNv2, UNet, WideResNet, ncsnv2_128, ncsnv2_256
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V, edm_output
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
from jaxgen.train import best, ema
from jaxgen.train.optimizers import adam

Table = Mapping[str, Callable[..., Any]]


def constant(value: Any) -> Callable[[], Any]:
    """A function without arguments, for table entries that are values."""
    return lambda: value


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


SPACES: Table = {
    "linear": affine,
    "logit": logit,
}
PROCESSES: Table = {
    "vp": sde.vp,
    "subvp": sde.subvp,
    "ve": sde.ve,
    "edm": sde.edm,
    "cosine": sde.cosine,
    "rectified_flow": sde.rectified_flow,
    "vdm": lambda gamma_min=-13.3, gamma_max=5.0: sde.vdm(sde.linear_gamma(gamma_min, gamma_max)),
    "ddpm": lambda n=1000, beta_min=0.1, beta_max=20.0: sde.ddpm(sde.linear_betas(n, beta_min, beta_max)),
    "ddpm_cosine": lambda n=1000, offset=0.008: sde.ddpm(sde.cosine_betas(n, offset)),
    "discretize": sde.discretize,
    "ncsn": lambda n=1000, sigma_min=0.01, sigma_max=50.0: sde.ncsn(sde.geometric_sigmas(n, sigma_min, sigma_max)),
}
SOLVED: Table = {  # what samplers and likelihoods run on
    "trained": lambda trained: trained,
    **PROCESSES,
}
PREDICTIONS: Table = {
    "x0": constant(X0),
    "eps": constant(EPS),
    "score": constant(SCORE),
    "v": constant(V),
    "velocity": constant(VELOCITY),
    "edm_output": edm_output,
}
HEADS: Table = {
    "direct": constant(None),
    "level_posterior": constant(level_posterior),
}
TIMES: Table = {
    "uniform": constant(uniform),
    "uniform_log_snr": constant(uniform_log_snr),
    "lognormal": lognormal,
    "logit_normal": logit_normal,
    "steps": steps,
}
WEIGHTS: Table = {
    "ones": constant(ones),
    "eps_matching": constant(eps_matching),
    "likelihood": constant(likelihood),
    "vlb": vlb,
}
LABELS: Table = {
    "identity": constant(identity),
    "times_999": constant(times_999),
    "noise_level": constant(noise_level),
    "quarter_log_sigma": constant(quarter_log_sigma),
    "grid_index": constant(grid_index),
    "fractional_index": constant(fractional_index),
    "reversed_index": constant(reversed_index),
}
ROUNDED = "grid_index", "reversed_index"  # labels that know the times of a table only
SCALES: Table = {
    "one": constant(one),
    "unit_variance": unit_variance,
}
REDUCTIONS: Table = {
    "mean": constant(mean),
    "total": constant(total),
    "half_total": constant(half_total),
}
MODELS: Table = {
    "mlp": MLP,
    "unet": UNet,
    "ncsnpp": NCSNpp,
    "ddpm": DDPM,
    "ncsnv2_64": NCSNv2,
    "ncsnv2_128": ncsnv2_128,
    "ncsnv2_256": ncsnv2_256,
    "ncsnv1": NCSNv1,
    "wideresnet": WideResNet,
}
OPTIMIZERS: Table = {
    "adam": adam,
}
AVERAGES: Table = {
    "none": constant(None),
    "constant": ema.constant,
    "warm": ema.warm,
    "half_life": ema.half_life,
}
BEST: Table = {  # checkpoints that are kept
    "none": constant(None),
    "lowest": best.lowest,
    "highest": best.highest,
}
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
BINS: Table = {  # of the integers that a likelihood is of, where training adds no noise to them
    "centered": around,
    "score_sde": between,
}
LEVELS: Table = {  # from values around integers to integers
    "nearest": constant(nearest),
    "truncated": constant(quantize),
}
DIVERGENCES: Table = {
    "exact": exact,
    "hutchinson": lambda: hutchinson(),
}
NORMS: Table = {
    "batch_mean": constant(batch_mean),
    "each": constant(each),
}
NONLINEARITIES: Table = {
    "silu": constant(jax.nn.silu),
    "relu": constant(jax.nn.relu),
    "elu": constant(jax.nn.elu),
    "lrelu": constant(partial(jax.nn.leaky_relu, negative_slope=0.2)),
}
SIGMAS: Table = {  # noise levels that networks are told by index, the largest first
    "geometric": lambda n=1000, sigma_min=0.01, sigma_max=50.0: tuple(
        sde.geometric_sigmas(n, sigma_min, sigma_max)[::-1].tolist()
    ),
}
ARGUMENTS: Mapping[str, Table] = {  # arguments that are functions themselves, given by name or as a call
    "sde": PROCESSES,
    "predictor": STEPS,
    "corrector": STEPS,
    "norm": NORMS,
    "nonlinearity": NONLINEARITIES,
    "sigmas": SIGMAS,
}

EXAMPLES = {"predictor": "reverse_diffusion", "corrector": "langevin", "sde": "vp", "n": 1000, "learning_rate": 1e-3}
PATHS = {  # of the sections that messages call by their last key
    key: f"{section}.{key}"
    for section, keys in default().items()
    if isinstance(keys, ConfigDict) and not is_call(keys)
    for key, value in keys.items()
    if is_call(value) and key != "sde"
}


def invoke(table: Table, section: ConfigDict, what: str, **context: Any) -> Any:
    """table[section.name](arguments of the section). `context` holds arguments that follow from elsewhere, handed on
    where the function takes them; the section may say otherwise. Arguments of `ARGUMENTS` are invoked themselves.
    Raises ValueError for what does not fit."""
    if section.name not in table:
        raise unknown(what, section.name, table)
    function = table[section.name]
    parameters = inspect.signature(function).parameters
    arguments = {key: value for key, value in context.items() if key in parameters}
    for key, value in section.items():
        if key == "name":
            continue
        if key not in parameters:
            raise unknown(f"argument of {what} {section.name}", key, parameters)
        where = f"{key} of {what} {section.name}"
        if key in ARGUMENTS and parameters[key].annotation is not str:
            named = call(value) if isinstance(value, str) else value
            if not is_call(named):
                raise ValueError(
                    f"{where} must name a function, such as {next(iter(ARGUMENTS[key]))!r}, got {value!r}."
                )
            arguments[key] = invoke(ARGUMENTS[key], named, key)
            continue
        kind = parameters[key].annotation
        if kind is inspect.Parameter.empty and parameters[key].default is not inspect.Parameter.empty:
            kind = type(parameters[key].default)
        arguments[key] = expect(where, kind, value)
    missing = [k for k, p in parameters.items() if p.default is inspect.Parameter.empty and k not in arguments]
    if missing:
        flag = f"--config.{PATHS.get(what, what)}.{missing[0]}"
        raise ValueError(
            f"{what} {section.name} needs the argument {missing[0]!r}: give it, such as "
            f"{flag}={EXAMPLES.get(missing[0], 'VALUE')}."
        )
    return function(**arguments)
