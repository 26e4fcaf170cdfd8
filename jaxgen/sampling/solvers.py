r"""Deterministic solvers and their noisy variants: decode at t, re-encode at s.

    x_s = alpha_s x0 + sigma_s eps,   with (x0, eps) estimated at t

A solver says only from which evaluations, and in which prediction, it forms the estimate.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, decode
from jaxgen.sampling.grids import nearest
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sde import SDE, expand


def nothing(x: Array, grid: Array) -> Memory:
    """No memory between steps."""
    return ()


def encode_at(denoiser: Denoiser, x0: Array, eps: Array, s: Array) -> Array:
    """alpha_s x0 + sigma_s eps."""
    return expand(denoiser.sde.alpha(s), x0) * x0 + expand(denoiser.sde.sigma(s), x0) * eps


Split = Callable[[SDE, Array, Array], tuple[Array, Array]]  # (sde, t, s) -> (down, up), down^2 + up^2 = sigma_s^2


def posterior_split(eta: float) -> Split | None:
    """up = eta times the posterior standard deviation of x_s (2010.02502 eq. 16), also k-diffusion's "ancestral":

        down^2 = sigma_s^2 (1 - eta^2 + eta^2 k),  up^2 = sigma_s^2 eta^2 (1 - k),  k = snr_t / snr_s

    in which nothing cancels, however long the step."""

    def split(sde: SDE, t: Array, s: Array) -> tuple[Array, Array]:
        sigma, log_k = sde.sigma(s), sde.log_snr(t) - sde.log_snr(s)
        kept = jnp.maximum(1 - eta**2 + eta**2 * jnp.exp(log_k), 0)
        return sigma * jnp.sqrt(kept), eta * sigma * jnp.sqrt(-jnp.expm1(log_k))

    return split if eta else None


def path_split(eta: float) -> Split | None:
    """down = sigma_s e^{-eta h}, h the rise of log(alpha/sigma): the reverse SDE with eta times its noise's variance
    (2211.01095 eq. 18; k-diffusion's eta). At eta = 1 the same as `posterior_split`."""

    def split(sde: SDE, t: Array, s: Array) -> tuple[Array, Array]:
        sigma, kept = sde.sigma(s), 0.5 * eta * (sde.log_snr(s) - sde.log_snr(t))
        return sigma * jnp.exp(-kept), sigma * jnp.sqrt(-jnp.expm1(-2 * kept))

    return split if eta else None


def encode_noisily(
    den: Denoiser, x0: Array, eps: Array, t: Array, s: Array, split: Split | None, noise: Callable[[], Array]
) -> Array:
    """alpha_s x0 + down eps + up z; without a split alpha_s x0 + sigma_s eps."""
    if split is None:
        return encode_at(den, x0, eps, s)
    down, up = split(den.sde, t, s)
    return expand(den.sde.alpha(s), x0) * x0 + expand(down, x0) * eps + expand(up, x0) * noise()


def ddim(eta: float = 0.0) -> Solver:
    """x_s = alpha_s x0 + sqrt(sigma_s^2 - up^2) eps + up z, up = eta times the posterior standard deviation
    (2010.02502 eq. 12, 16). eta = 0 is deterministic, eta = 1 ancestral sampling. The first-order method of every
    family of solvers: Euler's in sigma/alpha, DPM-Solver-1."""
    split = posterior_split(eta)

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        return encode_noisily(den, *den.estimate(x, t, cond), t, s, split, lambda: draw(0)), memory

    return Solver(nothing, step, draws=int(split is not None))


class Tableau(NamedTuple):
    """A Runge-Kutta method: for every later stage (how far along the step, weights of the stages before), and the
    weights of all stages in the end."""

    stages: tuple[tuple[float, tuple[float, ...]], ...]
    weights: tuple[float, ...]


HEUN = Tableau(((1.0, (1.0,)),), (1 / 2, 1 / 2))
RK4 = Tableau(
    ((1 / 2, (1.0,)), (1 / 2, (0.0, 1.0)), (1.0, (0.0, 0.0, 1.0))),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)


def runge_kutta(den: Denoiser, tableau: Tableau, eps: Array, x: Array, t: Array, s: Array, cond: Any) -> Array:
    """x_s from eps at t and at the stages of `tableau`, each reached from t with the weighted eps of those before
    (2202.09778 eq. 10). On a discretized process a stage between t and s is moved to the nearest of its times."""

    def moved(weights: tuple[float, ...], s: Array) -> Array:
        mean = sum((weight * stage for weight, stage in zip(weights, stages, strict=True)), jnp.zeros_like(x))
        return encode_at(den, *decode(den.sde, EPS, mean, x, t), s)

    stages = [eps]
    for along, weights in tableau.stages:
        at = s if along == 1 else nearest(den.sde, t + along * (s - t))
        stages.append(den.eps(moved(weights, at), at, cond))
    return moved(tableau.weights, s)


def heun() -> Solver:
    """Heun's second-order step: the mean of eps at t and at the Euler estimate of x_s (2206.00364 algorithm 1)."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        return runge_kutta(den, HEUN, den.eps(x, t, cond), x, t, s, cond), memory

    return Solver(nothing, step, evaluations=2)


def churn(gamma: float, low: float = 0.0, high: float = float("inf"), scale: float = 1.0) -> Callable[[Solver], Solver]:
    """Raise the noise level sigma/alpha by the factor 1 + gamma before each step where it lies in [low, high], with
    fresh noise of standard deviation `scale` (2206.00364 algorithm 2: gamma = min(S_churn/N, sqrt(2) - 1))."""

    def wrap(solver: Solver) -> Solver:
        def step(
            den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
        ) -> tuple[Array, Memory]:
            sde = den.sde
            level = sde.sigma(t) / sde.alpha(t)
            raised = sde.time_at(-2 * jnp.log(level * (1 + gamma)))
            later = jnp.where((level >= low) & (level <= high), jnp.maximum(raised, t), t)
            ratio, variance = sde.transition(t, later)
            x = expand(ratio, x) * x + scale * expand(jnp.sqrt(variance), x) * draw(solver.draws)
            return solver.step(den, memory, x, later, s, draw, cond)

        return solver._replace(step=step, draws=solver.draws + 1)

    return wrap
