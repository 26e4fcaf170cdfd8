"""The convolution of every network here: flax's, with a weight gradient that suits the CPU.

    y = x * w        dL/dw = sum_k grad_w(x_k, dL/dy_k)    over parts k of the batch

XLA's CPU backend forms dL/dw from one patch matrix of the whole batch, which outgrows the cache; summed over parts
that fit it runs 2 to 3 times faster at 28x28 (`experiments/benchmarks/convolution.py`). Elsewhere nothing is changed.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

CACHED = 400_000  # elements of the input whose patches stay in the cache
DIVIDED = ContextVar("divided", default=True)


@contextmanager
def undivided() -> Iterator[None]:
    """What is traced within has its weight gradients in one part, as on an accelerator, wherever it is compiled."""
    token = DIVIDED.set(False)
    try:
        yield
    finally:
        DIVIDED.reset(token)


def conv_general_dilated(lhs: Array, rhs: Array, *arguments: Any, **options: Any) -> Array:
    """`jax.lax.conv_general_dilated`, differentiated in both modes, with the weight gradient in parts on a CPU."""
    count = parts(lhs.shape) if jax.default_backend() == "cpu" and DIVIDED.get() else 1
    if count == 1:
        return lax.conv_general_dilated(lhs, rhs, *arguments, **options)
    return in_parts(count, *arguments, **options)(lhs, rhs)


def parts(shape: Sequence[int]) -> int:
    """The smallest divisor of the batch, a power of two, that makes a part of at most CACHED elements."""
    count = 1
    while math.prod(shape) > CACHED * count and shape[0] % (2 * count) == 0:
        count *= 2
    return count


def in_parts(count: int, *arguments: Any, **options: Any) -> Any:
    """(lhs, rhs) -> their convolution, whose derivative by rhs is a sum over `count` parts of the batch. Part k holds
    examples k, k + count, ...: a sharded batch keeps its sharding."""

    def plain(lhs: Array, rhs: Array) -> Array:
        return lax.conv_general_dilated(lhs, rhs, *arguments, **options)

    def by_rhs(lhs: Array, rhs: Array) -> Array:
        split = lhs.reshape(-1, count, *lhs.shape[1:])
        out = jnp.stack([plain(split[:, k], rhs) for k in range(count)], axis=1)
        return out.reshape(lhs.shape[0], *out.shape[2:])

    @jax.custom_jvp
    def conv(lhs: Array, rhs: Array) -> Array:
        return plain(lhs, rhs)

    @partial(conv.defjvp, symbolic_zeros=True)
    def jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
        (lhs, rhs), (dlhs, drhs) = primals, tangents
        out = conv(lhs, rhs)
        moved = [] if isinstance(dlhs, SymbolicZero) else [plain(dlhs, rhs)]
        moved += [] if isinstance(drhs, SymbolicZero) else [by_rhs(lhs, drhs)]
        return out, sum(moved[1:], moved[0]) if moved else jnp.zeros_like(out)

    return conv


Conv = partial(nn.Conv, conv_general_dilated=conv_general_dilated)
