"""Ways to split x in two, and the flow that goes on with one part while the other is done (multi-scale).

    (kept, moved) = part(x),   x = join(kept, moved)

Source: Dinh, Sohl-Dickstein, Bengio 2017, "Real NVP", section 3.6.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.bijectors.bijector import Bijector, Map, rearrangement


class Split(NamedTuple):
    """part: x [B, ...] -> (kept, moved); join is its inverse."""

    part: Callable[[Array], tuple[Array, Array]]
    join: Callable[[Array, Array], Array]


def channels(size: int) -> Split:
    """The first `size` channels (the last axis) are kept, the others moved; there is one of both at least."""

    def part(x: Array) -> tuple[Array, Array]:
        if not 0 < size < x.shape[-1]:
            raise ValueError(
                f"a split keeps at least one element and moves at least one, got {size} of {x.shape[-1]} to keep: data "
                f"of one element needs a flow without couplings."
            )
        return x[..., :size], x[..., size:]

    return Split(part, lambda kept, moved: jnp.concatenate([kept, moved], -1))


def features(mask: Sequence[bool] | np.ndarray) -> Split:
    """The channels where the mask [C] is True are kept, the others moved, each part in the order of x."""
    kept = np.asarray(mask, bool)
    order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
    parts, back = channels(int(kept.sum())), np.argsort(order)
    return Split(lambda x: parts.part(x[..., order]), lambda kept, moved: parts.join(kept, moved)[..., back])


def swap(split: Split) -> Split:
    """What was kept is moved and the other way round."""
    return Split(lambda x: split.part(x)[::-1], lambda kept, moved: split.join(moved, kept))


def apart(split: Split, kept: Bijector, moved: Bijector) -> Bijector:
    """Each part of x through a bijector of its own, which leaves its shape."""

    def along(direction: Callable[[Bijector], Map]) -> Map:
        def run(x: Array) -> tuple[Array, Array]:
            parts = split.part(x)
            (first, one), (second, other) = (direction(b)(part) for b, part in zip((kept, moved), parts, strict=True))
            return split.join(first, second), one + other

        return run

    return Bijector(along(lambda b: b.forward_and_log_det), along(lambda b: b.inverse_and_log_det))


def flatten(shape: Sequence[int]) -> Bijector:
    """[B, *shape] -> [B, D]."""
    return rearrangement(lambda x: x.reshape(x.shape[0], -1), lambda z: z.reshape(z.shape[0], *shape))


def factor_out(split: Split, shape: Sequence[int], rest: Bijector) -> Bijector:
    """x [B, *shape] -> z [B, D]: the moved part as it is, then `rest`(kept), which must be flat.

    A prior of the moved part given the kept one is a coupling of the same split before it, so that z is always
    standard: chain(coupling(split, prior, affine), factor_out(split, shape, rest)).
    """
    _, moved = jax.eval_shape(split.part, jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    size = math.prod(moved.shape)

    def forward(x: Array) -> tuple[Array, Array]:
        kept, done = split.part(x)
        z, log_det = rest.forward_and_log_det(kept)
        return jnp.concatenate([done.reshape(len(done), -1), z], -1), log_det

    def inverse(z: Array) -> tuple[Array, Array]:
        kept, log_det = rest.inverse_and_log_det(z[:, size:])
        return split.join(kept, z[:, :size].reshape(-1, *moved.shape[1:])), log_det

    def forward_alone(x: Array) -> Array:
        kept, done = split.part(x)
        return jnp.concatenate([done.reshape(len(done), -1), rest.forward(kept)], -1)

    def inverse_alone(z: Array) -> Array:
        return split.join(rest.inverse(z[:, size:]), z[:, :size].reshape(-1, *moved.shape[1:]))

    return Bijector(forward, inverse, forward_alone, inverse_alone)
