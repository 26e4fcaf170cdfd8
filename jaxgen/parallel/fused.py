"""Several steps a dispatch: the host asks once for n steps, where a small step would otherwise wait for it.

On accelerators they are one program, a scan. XLA's CPU backend runs convolutions inside a loop many times slower than
outside, so there they stay a loop of the host.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.losses.algebra import Batch
from jaxgen.train.player import Metrics, Training
from jaxgen.train.state import State


def scanned(training: Training) -> Training:
    """The training whose step takes a sequence of batches, one step each; its metrics are those of the last."""

    def step(state: State, batches: Sequence[Batch], key: Array, **options: Any) -> tuple[State, Metrics]:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        state, metrics = jax.lax.scan(lambda state, batch: training.step(state, batch, key, **options), state, stacked)
        return state, jax.tree.map(lambda leaf: leaf[-1], metrics)

    return training._replace(step=step)


def looped(step: Callable[..., tuple[State, Metrics]]) -> Callable[..., tuple[State, Metrics]]:
    """The same of a compiled step, by the host."""

    def steps(state: State, batches: Sequence[Any], key: Array) -> tuple[State, Metrics]:
        metrics: Metrics = {}
        for batch in batches:
            state, metrics = step(state, batch, key)
        return state, metrics

    return steps
