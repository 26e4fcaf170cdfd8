"""UniPC (2302.04867): a multistep predictor whose every step is corrected by the evaluation that the next one needs.

The evaluation at the predicted x_t serves twice: with it the step to t is made again, its polynomial now through t too
(UniC), and the step from t begins (UniP). Both are exponential integrators in log-SNR of x0 or eps, `average.lagrange`
of their nodes; B(h) only enters where two nodes are left.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, X0, decode
from jaxgen.sampling.average import Rule, Step, exact, half_log_snr, in_log_snr, lagrange, sign_of
from jaxgen.sampling.multistep import (
    blend,
    choice,
    estimate,
    log_growth,
    mean_weights,
    orders,
    push,
    unknown_positions,
    within,
)
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sampling.solvers import encode_at


def bh1(k: int, z: Array) -> list[ArrayLike]:
    """B(h) = h: m_1 = B / (2 (e^h - 1)) for two nodes, h = -z; exact for more."""
    return [1.0, -0.5 * z / jnp.expm1(-z)] if k == 2 else list(exact(k, z))


def bh2(k: int, z: Array) -> list[ArrayLike]:
    """B(h) = e^h - 1: m_1 = 1/2 for two nodes; exact for more."""
    return [1.0, 0.5] if k == 2 else list(exact(k, z))


VARIANTS: dict[str, Rule] = {"bh1": bh1, "bh2": bh2, "vary_coeff": exact}


def unipc(
    order: int = 3, variant: str = "bh2", prediction: str = "x0", final_order: int | None = None, uncorrected: int = 0
) -> Solver:
    """UniPC of order 1 to 3 with B(h) "bh1", "bh2", or all exact, "vary_coeff", on x0 or eps (2302.04867 algorithms 5
    to 8; the authors' code leaves a part of UniC's newest term out of vary_coeff from order 2 on). `uncorrected`: how
    many first steps go without UniC; the last one always does, as nothing is evaluated after it."""
    within("order", order, 3)
    within("final_order", order if final_order is None else final_order, order)
    rule = choice("variant", variant, VARIANTS)
    kind = choice("prediction", prediction, {"x0": X0, "eps": EPS})
    axis, sign = in_log_snr(rule), sign_of(kind)

    def init(x: Array, grid: Array) -> Memory:
        schedule = jnp.asarray(orders(len(grid) - 1, order, final_order))
        before = x, jnp.full_like(x, grid[-1], shape=x.shape[:1])
        return 0, schedule, jnp.zeros((order, *x.shape), x.dtype), unknown_positions(x, order), before

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        i, schedule, estimates, positions, (x_before, t_before) = memory
        newest, here = estimate(den, kind, x, t, cond), half_log_snr(den.sde, t)

        nodes = (positions - positions[0]) / (here - positions[0])
        z = log_growth(den.sde, sign, t_before, t)
        table = []
        for k in range(1, order + 1):
            *old, new = lagrange([*nodes[:k], jnp.ones_like(here)], rule(k + 1, z))
            table.append(jnp.stack([new, *old, *[jnp.zeros_like(new)] * (order - k)]))
        known = jnp.concatenate([newest[None], estimates])
        mean = blend(jnp.stack(table)[schedule[i - 1] - 1], known)
        corrected = encode_at(den, *decode(den.sde, kind, mean, x_before, t_before), t)
        x = jnp.where(i > uncorrected, corrected, x)

        estimates, positions = push(newest, estimates), push(here, positions)
        weights = mean_weights(
            axis, positions, Step(den.sde, sign, i, t, s, log_growth(den.sde, sign, t, s)), schedule[i], order
        )
        predicted = encode_at(den, *decode(den.sde, kind, blend(weights, estimates), x, t), s)
        return predicted, (i + 1, schedule, estimates, positions, (x, t))

    return Solver(init, step)
