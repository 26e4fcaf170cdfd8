"""Moving averages of parameters: ema <- d ema + (1 - d) params, with the decay d a function of the steps taken."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.train.schedules import Schedule

Decay = Callable[[Array], Array]  # number of steps taken, counting this one -> d


def constant(decay: float) -> Decay:
    """d, always (the JAX score_sde's rule)."""
    return lambda step: jnp.asarray(decay, float)


def warm(decay: float) -> Decay:
    """min(d, (1 + n)/(10 + n)): an average that forgets its start (the PyTorch score_sde's rule)."""
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def half_life(steps: float | Schedule, ramp: float = 0.05) -> Decay:
    """d = 2^(-1/h), h = min(steps, ramp n) (2206.00364 section F.2), where `steps` may itself go by a schedule
    (2501.05441 appendix)."""

    def decay(step: Array) -> Array:
        h = steps(step) if callable(steps) else float(steps)
        return jnp.exp2(-1 / jnp.maximum(jnp.minimum(h, ramp * step), 1e-8))

    return decay


def update(decay: Array, ema: Any, params: Any) -> Any:
    """d ema + (1 - d) params, leaf by leaf, in the average's own dtype."""
    return jax.tree.map(
        lambda old, new: (old + (1 - decay).astype(old.dtype) * (new - old)).astype(old.dtype), ema, params
    )
