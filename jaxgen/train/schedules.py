"""Numbers that change in the course of a training: weights of losses, learning rates, decays, probabilities.

    Schedule = step -> scalar,    step = 0, 1, ... the moves made before

A schedule stays at its last value. A loss counts steps of the training, an optimizer the moves of its player.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

Schedule = Callable[[ArrayLike], Array]


def constant(value: float) -> Schedule:
    """`value`."""
    return lambda step: jnp.asarray(value, float)


def linear(start: float, end: float, steps: int) -> Schedule:
    """start + (end - start) s, s = step/steps."""
    s = share(steps)
    return lambda step: start + (end - start) * s(step)


def cosine(start: float, end: float, steps: int) -> Schedule:
    """start + (end - start) (1 - cos(pi s))/2, s = step/steps (1608.03983 eq. 5)."""
    s = share(steps)
    return lambda step: start + (end - start) * (1 - jnp.cos(jnp.pi * s(step))) / 2


def exponential(start: float, end: float, steps: int) -> Schedule:
    """start (end/start)^s, s = step/steps."""
    if start <= 0 or end <= 0:
        raise ValueError(f"an exponential schedule goes between positive numbers, got start={start}, end={end}.")
    s = share(steps)
    return lambda step: start * jnp.exp(s(step) * math.log(end / start))


def piecewise(values: Sequence[float], boundaries: Sequence[int]) -> Schedule:
    """values[i] from step boundaries[i - 1] on; one value more than boundaries."""
    if len(values) != len(boundaries) + 1 or list(boundaries) != sorted(boundaries):
        raise ValueError(
            f"a piecewise schedule has one value more than it has ascending boundaries, got values={tuple(values)}, "
            f"boundaries={tuple(boundaries)}."
        )
    at, of = np.asarray(boundaries), np.asarray(values, float)
    return lambda step: jnp.asarray(of)[jnp.searchsorted(at, jnp.asarray(step), side="right")]


def share(steps: int) -> Schedule:
    """step/steps, held at 1."""
    if steps < 1:
        raise ValueError(f"a schedule takes at least one step, got steps={steps}.")
    return lambda step: jnp.clip(jnp.asarray(step) / steps, 0, 1)
