"""A critic that sees every image augmented: D(T(x)), T from the keys of the call; and the features it forms of it.

A loss or a penalty given such a critic need not know of it. Real and generated images alike are augmented, for both
players, and T is differentiable: so a generator is never told to make augmented images.

Source: Karras et al. 2020 (2006.06676); Zhao et al. 2020 (2006.10738).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from jax import Array

from jaxgen.losses.algebra import Loss, Params, draw
from jaxgen.losses.consistency import Augment

T = TypeVar("T")


class Augmentation(NamedTuple):
    """augment: what happens to the images. state: the variables of "augment", a network without parameters that the
    critic's player owns, or None where there is nothing that runs. adapt: the critic's loss -> the same, which also
    moves them; signed: by the sign of logits."""

    augment: Augment
    state: dict[str, Any] | None = None
    adapt: Callable[[Loss], Loss] = lambda loss: loss
    signed: bool = False


def augmented(
    augment: Augment, critic: Callable[[Params, Array, Any, Array], T]
) -> Callable[[Params, Array, Any, Array], T]:
    """D(T(x), c) of a critic D, or of the features that one forms."""

    def judge(params: Params, x: Array, cond: Any, keys: Array) -> T:
        return critic(params, augment(params, draw(keys, 0xA46, lambda key: key), x), cond, keys)

    return judge


def unaugmented() -> Augmentation:
    """Images as they are."""
    return Augmentation(lambda params, keys, x: x)
