r"""Deterministic solvers and their noisy variants: decode at t, re-encode at s.

    x_s = alpha_s x0 + sigma_s eps,   with (x0, eps) estimated at t

A solver says only from which evaluations, and in which prediction, it forms the estimate.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, X0, decode
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sde import expand


def nothing(x: Array, grid: Array) -> Memory:
    """No memory between steps."""
    return ()


def encode_at(denoiser: Denoiser, x0: Array, eps: Array, s: Array) -> Array:
    """alpha_s x0 + sigma_s eps."""
    return expand(denoiser.sde.alpha(s), x0) * x0 + expand(denoiser.sde.sigma(s), x0) * eps


def ddim(eta: float = 0.0) -> Solver:
    """x_s = alpha_s x0 + sqrt(sigma_s^2 - up^2) eps + up z, up = eta times the posterior standard deviation
    (2010.02502 eq. 12, 16). eta = 0 is deterministic, eta = 1 ancestral sampling."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        x0, eps = den.estimate(x, t, cond)
        if not eta:
            return encode_at(den, x0, eps, s), memory
        up = eta * den.sde.posterior(x0, x, t, s)[1]
        down = jnp.sqrt(jnp.maximum(jnp.square(den.sde.sigma(s)) - jnp.square(up), 0))
        return expand(den.sde.alpha(s), x) * x0 + expand(down, x) * eps + expand(up, x) * draw(0), memory

    return Solver(nothing, step, draws=int(eta > 0))


def heun() -> Solver:
    """Heun's second-order step: the mean of eps at t and at the Euler estimate of x_s (2206.00364 algorithm 1)."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        x0, eps = den.estimate(x, t, cond)
        ahead = den.eps(encode_at(den, x0, eps, s), s, cond)
        return encode_at(den, *decode(den.sde, EPS, 0.5 * (eps + ahead), x, t), s), memory

    return Solver(nothing, step, evaluations=2)


def dpmpp_2m() -> Solver:
    """DPM-Solver++(2M): x0 extrapolated in log-SNR from this evaluation and the last (2211.01095 algorithm 2)."""

    def init(x: Array, grid: Array) -> Memory:
        return jnp.zeros_like(x), jnp.zeros_like(x, shape=x.shape[:1]), jnp.zeros((), bool)

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        before, lambda_before, started = memory
        x0 = den.x0(x, t, cond)
        lambda_t, lambda_s = den.sde.log_snr(t), den.sde.log_snr(s)
        last = jnp.where(started, lambda_t - lambda_before, 1)
        slope = jnp.where(started, 0.5 * (lambda_s - lambda_t) / last, 0)
        ahead = x0 + expand(slope, x) * (x0 - before)
        return encode_at(den, *decode(den.sde, X0, ahead, x, t), s), (x0, lambda_t, jnp.ones((), bool))

    return Solver(init, step)


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
