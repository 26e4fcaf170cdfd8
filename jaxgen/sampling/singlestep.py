"""Singlestep solvers on a grid that holds their stages: a block of k steps is one step of order k.

Stage p of a block evaluates at the grid time it has reached and goes from the block's start to the next grid time, with
the estimate's mean over that whole way: one evaluation a step, whatever the orders of the blocks, and never between
the times of the grid. `grids.refine(sde, grid, k)` cuts the steps of a grid into the stages of the papers, equal in
log-SNR.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, X0, Prediction, decode
from jaxgen.sampling.average import exact, half_log_snr, lagrange, sign_of
from jaxgen.sampling.multistep import blend, choice, estimate, log_growth, within
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sampling.solvers import Split, encode_noisily, posterior_split
from jaxgen.sde import SDE

VARIANTS = {"dpm": (2,), "midpoint": (2, 3), "taylor": ()}  # the blocks whose second stage is taken at the middle


def blocks(steps: int, order: int, lower_order_final: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(order of its block, stage in it) of each of `steps` steps: blocks of `order` and one of what is left. With
    `lower_order_final` a last whole block ends in one step of first order (2206.00927 section 3.4, DPM-Solver-fast)."""
    whole, rest = divmod(steps, order)
    sizes = [order] * whole + [rest] * (rest > 0)
    if lower_order_final and rest == 0 and order > 1:
        sizes[-1:] = [order - 1, 1]
    return np.repeat(sizes, sizes), np.concatenate([np.arange(size) for size in sizes])


def stage_weights(nodes: list[Array], z: Array, halved: bool, every: bool) -> Array:
    """The weights of a block's estimates at `nodes`, the newest last: of the polynomial through every one, or of the
    line through the first and the newest, its mean exact or, if `halved`, its value at the middle of the way."""
    if every or len(nodes) == 1:
        return lagrange(nodes, exact(len(nodes), z))
    first, newest = lagrange([nodes[0], nodes[-1]], [1.0, 0.5] if halved else exact(2, z))
    return jnp.stack([first, *[jnp.zeros_like(first)] * (len(nodes) - 2), newest])


def singlestep(
    prediction: Prediction,
    order: int,
    variant: str = "dpm",
    lower_order_final: bool = False,
    split: Split | None = None,
    noisy_stages: bool = False,
) -> Solver:
    """Blocks of `order` steps. `split` adds noise: after every stage, as solvers of the reverse SDE do, or after a
    block, whose way then leads to the lower noise `down` ("ancestral" solvers)."""
    halved = choice("variant", variant, VARIANTS)
    sign = sign_of(prediction)
    stages = [(size, stage) for size in range(1, order + 1) for stage in range(size)]

    def init(x: Array, grid: Array) -> Memory:
        size, stage = blocks(len(grid) - 1, order, lower_order_final)
        start = x, jnp.full_like(x, grid[0], shape=x.shape[:1])
        estimates = jnp.zeros((order, *x.shape), x.dtype)
        times = jnp.broadcast_to(jnp.linspace(grid[0], grid[-1], order, dtype=x.dtype)[:, None], (order, len(x)))
        return 0, jnp.asarray(size), jnp.asarray(stage), start, estimates, times

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        i, sizes, places, (x_start, t_start), estimates, times = memory
        size, place = sizes[i], places[i]
        x_start, t_start = jnp.where(place == 0, x, x_start), jnp.where(place == 0, t, t_start)
        estimates = estimates.at[place].set(estimate(den, prediction, x, t, cond))
        times = times.at[place].set(t)

        noise = split and _only(split, noisy_stages | (place == size - 1))
        z = log_growth(den.sde, sign, t_start, s, noise)
        way = log_growth(den.sde, 1, t_start, s, None if noisy_stages else noise)
        nodes = (half_log_snr(den.sde, times) - half_log_snr(den.sde, t_start)) / way
        table = [
            stage_weights(list(nodes[: stage + 1]), z, stage == 1 and size in halved, variant == "taylor")
            for size, stage in stages
        ]
        table = [jnp.pad(weights, ((0, order - len(weights)), (0, 0))) for weights in table]
        mean = blend(jnp.stack(table)[size * (size - 1) // 2 + place], estimates)
        x0, eps = decode(den.sde, prediction, mean, x_start, t_start)
        moved = encode_noisily(den, x0, eps, t_start, s, noise, lambda: draw(0))
        return moved, (i + 1, sizes, places, (x_start, t_start), estimates, times)

    return Solver(init, step, draws=int(split is not None))


def _only(split: Split, noisy: Array) -> Split:
    """`split` where `noisy`, no noise elsewhere."""

    def some(sde: SDE, t: Array, s: Array) -> tuple[Array, Array]:
        down, up = split(sde, t, s)
        return jnp.where(noisy, down, sde.sigma(s)), jnp.where(noisy, up, 0)

    return some


def dpm_solver(order: int = 3, variant: str = "dpm", lower_order_final: bool = False) -> Solver:
    """DPM-Solver-1, 2, 3 (2206.00927 algorithms 1, 2; "taylor": its appendix's). "midpoint": as diffusers has the third
    order, whose second stage is DPM-Solver-2's."""
    return singlestep(EPS, within("order", order, 3), variant, lower_order_final)


def dpmpp_singlestep(order: int = 2, variant: str = "dpm", lower_order_final: bool = False) -> Solver:
    """DPM-Solver++(2S) (2211.01095 algorithm 1) and its third-order form: `dpm_solver` with x0 in place of eps."""
    return singlestep(X0, within("order", order, 3), variant, lower_order_final)


def dpm2_ancestral(eta: float = 1.0) -> Solver:
    """DPM-Solver-2 to the noise level below s that `eta` asks for, then noise up to s (k-diffusion)."""
    return singlestep(EPS, 2, split=posterior_split(eta))


def dpmpp_2s_ancestral(eta: float = 1.0) -> Solver:
    """DPM-Solver++(2S) to the noise level below s that `eta` asks for, then noise up to s (k-diffusion)."""
    return singlestep(X0, 2, split=posterior_split(eta))


def dpmpp_sde(eta: float = 1.0) -> Solver:
    """DPM-Solver++(2S) for the reverse SDE: noise after both stages (k-diffusion's DPM++ SDE)."""
    return singlestep(X0, 2, split=posterior_split(eta), noisy_stages=True)
