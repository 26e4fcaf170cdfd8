"""Adaptive integration of ordinary differential equations on the device."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
from jax import Array


def integrate(
    field: Callable[[Any, Any], Any], state: Any, start: float, end: float, rtol: float, atol: float
) -> tuple[Any, Array]:
    """Dormand-Prince 5(4) from `start` to `end` of d state/dt = field(t, state) -> (state at end, evaluations)."""
    traced = jax.jit(field)  # once, where the solver asks for it in many places
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: traced(t, y)),
        diffrax.Dopri5(),
        t0=start,
        t1=end,
        dt0=None,
        y0=state,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=16384,
    )
    # Dormand-Prince evaluates six new stages a step (first-same-as-last), and once at the start.
    return jax.tree.map(lambda leaf: leaf[0], solution.ys), 6 * solution.stats["num_steps"] + 1
