r"""Reverse-time steps of the SDE itself: Euler-Maruyama, reverse diffusion, ancestral sampling.

Their memory is the mean of the last step, before noise was added: what `last_mean` finishes with.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sde import SDE, expand, grid_of

# (sde, t [B], s [B]) -> alpha_t, sigma_t, alpha_s, sigma_s: where a step reads its coefficients.
Coefficients = Callable[[SDE, Array, Array], tuple[Array, Array, Array, Array]]


def exact(sde: SDE, t: Array, s: Array) -> tuple[Array, Array, Array, Array]:
    """The coefficients of the process at t and s."""
    return sde.alpha(t), sde.sigma(t), sde.alpha(s), sde.sigma(s)


def truncated_index(table: SDE) -> Coefficients:
    """Those of the grid points i = trunc(t (N - 1)) and i - 1 of `table`, with clean data before the first, whatever s
    is: how score_sde's predictors read their tables. Raises ValueError if `table` is in continuous time."""
    grid = grid_of(table)

    def coefficients(sde: SDE, t: Array, s: Array) -> tuple[Array, Array, Array, Array]:
        index = table_index(table, t)
        times = jnp.asarray(grid, t.dtype)
        here, before = times[index], times[jnp.maximum(index - 1, 0)]
        first = index == 0
        alpha_s = jnp.where(first, 1, table.alpha(before))
        sigma_s = jnp.where(first, 0, table.sigma(before))
        return table.alpha(here), table.sigma(here), alpha_s, sigma_s

    return coefficients


def table_index(table: SDE, t: Array) -> Array:
    """trunc(t (N - 1)), int32."""
    return (t * (len(grid_of(table)) - 1)).astype(jnp.int32)


def _kernel(coefficients: Coefficients, sde: SDE, t: Array, s: Array) -> tuple[Array, Array, Array, Array]:
    """(r, v, sigma_s^2, sigma_t^2) with p(x_t | x_s) = N(r x_s, v I)."""
    alpha_t, sigma_t, alpha_s, sigma_s = coefficients(sde, t, s)
    ratio = alpha_t / alpha_s
    return ratio, jnp.maximum(sigma_t**2 - (ratio * sigma_s) ** 2, 0), sigma_s**2, sigma_t**2


def starting_mean(x: Array, grid: Array) -> Memory:
    """Before the first step the mean is x itself."""
    return x


def _with_noise(mean: Array, std: Array, draw: Draw) -> tuple[Array, Memory]:
    return mean + expand(std, mean) * draw(0), mean


def euler_maruyama(stochasticity: float = 1.0, dt: float | None = None) -> Solver:
    """x_s = x - [f x - (1 + k^2)/2 g^2 score] dt + k g sqrt(dt) z, dt = t - s unless given (2011.13456 appendix E)."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        reverse = den.sde.reverse(lambda x, t: den.score(x, t, cond), stochasticity)
        length = t - s if dt is None else jnp.full_like(t, dt)
        mean = x - expand(length, x) * reverse.drift(x, t)
        return _with_noise(mean, reverse.diffusion(t) * jnp.sqrt(length), draw)

    return Solver(starting_mean, step, draws=1)


def reverse_diffusion(stochasticity: float = 1.0, coefficients: Coefficients = exact) -> Solver:
    """x_s = x - (r - 1) x + (1 + k^2)/2 v score + k sqrt(v) z, with the forward kernel N(r x_s, v I) (2011.13456
    eq. 46; k = 0: the discretized probability flow)."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        ratio, variance, _, _ = _kernel(coefficients, den.sde, t, s)
        pull = 0.5 * (1 + stochasticity**2) * variance
        mean = expand(2 - ratio, x) * x + expand(pull, x) * den.score(x, t, cond)
        return _with_noise(mean, stochasticity * jnp.sqrt(variance), draw)

    return Solver(starting_mean, step, draws=1)


def small(v: Array, var_s: Array, var_t: Array) -> Array:
    """v sigma_s^2 / sigma_t^2, the variance of p(x_s | x_t, x_0)."""
    return v * var_s / var_t


def large(v: Array, var_s: Array, var_t: Array) -> Array:
    """v, the variance of the forward kernel (DDPM's other choice, score_sde's on VP)."""
    return v


def ancestral(variance: Callable[[Array, Array, Array], Array] = small, coefficients: Coefficients = exact) -> Solver:
    """x_s = (x + v score) / r + std z: a draw of p(x_s | x_t, x_0 estimated) (2006.11239 algorithm 2)."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        ratio, v, var_s, var_t = _kernel(coefficients, den.sde, t, s)
        mean = (x + expand(v, x) * den.score(x, t, cond)) / expand(ratio, x)
        return _with_noise(mean, jnp.sqrt(variance(v, var_s, var_t)), draw)

    return Solver(starting_mean, step, draws=1)


def stay() -> Solver:
    """x_s = x: no prediction, for runs of a corrector alone. Its mean is x itself."""
    return Solver(starting_mean, lambda den, memory, x, t, s, draw, cond: (x, x), evaluations=0)
