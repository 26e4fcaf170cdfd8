"""What is computed at some steps of a training only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

BRANCHED: ContextVar[bool] = ContextVar("branched", default=False)


@contextmanager
def branched() -> Iterator[None]:
    """What is traced within branches as on an accelerator, wherever it is compiled."""
    token = BRANCHED.set(True)
    try:
        yield
    finally:
        BRANCHED.reset(token)


def is_due(step: Array | int, every: int) -> Any:
    """Whether the step after `step` others is one of the steps n, 2n, ... with n = `every`: as logs and checkpoints
    count, so that what is logged at multiples of n was measured."""
    return (step + 1) % every == 0


def when(due: Array, compute: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any) -> Any:
    """compute(*operands) where the scalar `due` is true, else otherwise(*operands); both give the same shapes.

    One of them is computed. XLA's CPU backend, though, takes a hundred times longer for the weight gradient of a
    convolution inside a branch than outside (3x3, 64 channels, 32x32: 4.7 s against 0.04 s), so there what convolves is
    computed at every step and selected.
    """
    if jax.default_backend() == "cpu" and not BRANCHED.get() and convolves(compute, *operands):
        return jax.tree.map(partial(jnp.where, due), compute(*operands), otherwise(*operands))
    return jax.lax.cond(due, compute, otherwise, *operands)


def zeros_of(function: Callable[..., Any], *operands: Any) -> Any:
    """Zeros like what function(*operands) gives, which is not computed."""
    shapes = jax.eval_shape(function, *operands)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def convolves(function: Callable[..., Any], *operands: Any) -> bool:
    """Whether `function` has a convolution in it, at whatever depth."""
    return "conv_general_dilated" in str(jax.make_jaxpr(function)(*operands))
