"""Multistep solvers: one evaluation a step, the estimate's mean over the step from this evaluation and the last ones.

The first steps are of lower order, since they know fewer evaluations; so may the last ones be (`final_order`). The
last step of other libraries, to sigma = 0, is of first order and here the finish `clean`: their "lower order final"
is final_order = 2 with it, final_order = 1 where the run ends `as_it_is`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, X0, Prediction, decode
from jaxgen.sampling.average import (
    Axis,
    Rule,
    Step,
    exact,
    in_log_snr,
    in_rho,
    in_steps,
    in_time,
    lagrange,
    sign_of,
)
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sampling.solvers import HEUN, RK4, Split, Tableau, encode_noisily, path_split, runge_kutta
from jaxgen.sde import SDE, expand

AXES = {"log_snr": in_log_snr(), "rho": in_rho, "time": in_time}
WARM_UPS = {"heun": (HEUN, 1), "prk": (RK4, 3), "none": None}


def orders(steps: int, order: int, final_order: int | None = None) -> np.ndarray:
    """The order of each of `steps` steps: rising 1, 2, .. to `order`, and in the end falling, one a step, to
    `final_order` (default: `order`, no fall)."""
    i = np.arange(steps)
    return np.minimum(np.minimum(i + 1, order), (order if final_order is None else final_order) + steps - 1 - i)


def estimate(den: Denoiser, prediction: Prediction, x: Array, t: Array, cond: Any) -> Array:
    """x0 or eps, as `prediction` says."""
    x0, eps = den.estimate(x, t, cond)
    return x0 if prediction is X0 else eps


def log_growth(sde: SDE, sign: float, t: Array, s: Array, split: Split | None = None) -> Array:
    """z = sign log(alpha_s sigma_t / (alpha_t down)): how the estimate's weight grows from t to s. -> [B]."""
    down = sde.sigma(s) if split is None else split(sde, t, s)[0]
    return sign * (jnp.log(sde.alpha(s) / sde.alpha(t)) + jnp.log(sde.sigma(t) / down))


def blend(weights: Array, estimates: Array) -> Array:
    """sum_j w_j f_j. weights [k, B], estimates [k, B, ...] -> [B, ...]."""
    return jnp.sum(jax.vmap(expand)(weights, estimates) * estimates, axis=0)


def mean_weights(axis: Axis, positions: Array, step: Step, order: Array, most: int) -> Array:
    """The weights [most, B] of the newest `order` of the estimates at `positions` [most, B]; the others' are zero."""
    here, there = positions[0], axis.position(step.sde, step.sign, step.s, step.i + 1)
    nodes = (positions - here) / (there - here)
    table = [lagrange(list(nodes[:k]), axis.moments(k, step)) for k in range(1, most + 1)]
    return jnp.stack([jnp.pad(weights, ((0, most - len(weights)), (0, 0))) for weights in table])[order - 1]


def unknown_positions(x: Array, count: int) -> Array:
    """[count, B]: before the first step, positions that no evaluation has, so that every weight is finite."""
    return -1e3 * jnp.broadcast_to(jnp.arange(1, count + 1, dtype=x.dtype)[:, None], (count, len(x)))


def push(newest: Array, older: Array) -> Array:
    """The newest first, the oldest dropped."""
    return jnp.concatenate([newest[None], older[:-1]])


def multistep(
    prediction: Prediction,
    order: int,
    axis: Axis,
    split: Split | None = None,
    final_order: int | None = None,
    warm_up: tuple[Tableau, int] | None = None,
) -> Solver:
    """The polynomial of `axis` through the last `order` estimates of X0 or EPS; `split` adds noise. The first steps may
    be of a Runge-Kutta method: warm_up (its tableau, how many)."""
    within("final_order", order if final_order is None else final_order, order)
    sign = sign_of(prediction)
    tableau, warm = warm_up or (HEUN, 0)

    def init(x: Array, grid: Array) -> Memory:
        if len(grid) <= warm:
            raise ValueError(
                f"a warm-up of {warm} Runge-Kutta steps needs a grid of at least {warm + 1} times, got {len(grid)}: "
                f"take more steps, or another warm_up."
            )
        schedule = jnp.asarray(orders(len(grid) - 1, order, final_order))
        return 0, schedule, jnp.zeros((order, *x.shape), x.dtype), unknown_positions(x, order)

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        i, schedule, estimates, positions = memory
        estimates = push(estimate(den, prediction, x, t, cond), estimates)
        positions = push(axis.position(den.sde, sign, t, i), positions)
        now = Step(den.sde, sign, i, t, s, log_growth(den.sde, sign, t, s, split))

        def linear() -> Array:
            mean = blend(mean_weights(axis, positions, now, schedule[i], order), estimates)
            x0, eps = decode(den.sde, prediction, mean, x, t)
            return encode_noisily(den, x0, eps, t, s, split, lambda: draw(0))

        def nonlinear() -> Array:
            return runge_kutta(den, tableau, estimates[0], x, t, s, cond)

        moved = jax.lax.cond(i < warm, nonlinear, linear) if warm else linear()
        return moved, (i + 1, schedule, estimates, positions)

    return Solver(init, step, draws=int(split is not None), warm_up=warm * len(tableau.stages))


def within(name: str, value: int, most: int, least: int = 1) -> int:
    """`value`, if it lies in least .. most."""
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}, got {value}.")
    return value


def choice(name: str, value: str, table: dict[str, Any]) -> Any:
    """table[value]."""
    if value not in table:
        raise ValueError(f"{name} must be one of {', '.join(table)}, got {value!r}.")
    return table[value]


def _linear_exact(k: int, z: Array) -> list[ArrayLike]:
    """Exact up to m_1; m_2 is half of it, as in the published third-order multistep formula, whose D2 is f''/2."""
    return [moment if i < 2 else 0.5 * moment for i, moment in enumerate(exact(k, z))]


def _linear_midpoint(k: int, z: Array) -> list[ArrayLike]:
    """A line is taken at the middle of the step, m_1 = 1/2; parabolas as in `_linear_exact`."""
    return [1.0, 0.5] if k == 2 else _linear_exact(k, z)


VARIANTS: dict[str, Rule] = {"midpoint": _linear_midpoint, "heun": _linear_exact}


def _dpm(prediction: Prediction, order: int, variant: str, split: Split | None, final_order: int | None) -> Solver:
    within("order", order, 3)
    rule = choice("variant", variant, VARIANTS)
    return multistep(prediction, order, in_log_snr(rule), split, final_order)


def dpmpp_2m(variant: str = "midpoint", eta: float = 0.0, final_order: int | None = None) -> Solver:
    """DPM-Solver++(2M): x0 along a line in log-SNR (2211.01095 algorithm 2), its mean over the step taken at the
    "midpoint" or exactly ("heun", the name of k-diffusion and diffusers). eta > 0: SDE-DPM-Solver++(2M)."""
    return _dpm(X0, 2, variant, path_split(eta), final_order)


def dpmpp_3m(variant: str = "midpoint", eta: float = 0.0, final_order: int | None = None) -> Solver:
    """DPM-Solver++(3M): x0 along a parabola in log-SNR, as published with half of the exact second moment, so that its
    order is 2; `deis(3, prediction="x0")` has the exact one. The second step is of the "midpoint" or the "heun" kind
    (k-diffusion's dpmpp_3m_sde: eta = 1, heun). eta > 0 adds noise."""
    return _dpm(X0, 3, variant, path_split(eta), final_order)


def dpm_multistep(order: int = 2, variant: str = "midpoint", final_order: int | None = None) -> Solver:
    """The multistep form of DPM-Solver: `dpmpp_2m`, `dpmpp_3m` with eps in place of x0 (2206.00927)."""
    return _dpm(EPS, order, variant, None, final_order)


def deis(order: int = 3, axis: str = "log_snr", prediction: str = "eps", final_order: int | None = None) -> Solver:
    """DEIS (2204.13902 eq. 15): eps by a polynomial, integrated exactly, of order 1 to 4: in "log_snr" (exponential
    Adams-Bashforth, diffusers' logrho), in "rho" = sigma/alpha (rhoAB) or in "time" (tAB). prediction "x0": of x0."""
    within("order", order, 4)
    kind = choice("prediction", prediction, {"eps": EPS, "x0": X0})
    return multistep(kind, order, choice("axis", axis, AXES), None, final_order)


def lms(order: int = 4) -> Solver:
    """Linear multistep in sigma/alpha: Adams-Bashforth on the grid as it is, of order 1 to 6 (k-diffusion's LMS)."""
    return multistep(EPS, within("order", order, 6), in_rho)


def pndm(order: int = 4, warm_up: str = "heun") -> Solver:
    """PNDM (2202.09778): eps by Adams-Bashforth of order 1 to 4, as for equal steps, along DDIM's transfer. The first
    steps are three of Runge-Kutta ("prk", the paper's: 9 more evaluations), one of "heun" (PLMS, Stable Diffusion's
    "skip_prk": 1 more) or of lower order ("none": iPNDM of 2204.13902)."""
    return multistep(EPS, within("order", order, 4), in_steps, warm_up=choice("warm_up", warm_up, WARM_UPS))
