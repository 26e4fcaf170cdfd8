"""A critic that sees every image augmented: D(T(x)), T from the keys of the call.

A loss or a penalty given such a critic needs not know of it. Real and generated images alike are augmented, for both
players, and T is differentiable: so a generator is never told to make augmented images.

Source: Karras et al. 2020 (2006.06676), section 2.2; Zhao et al. 2020 (2006.10738), eq. (5)-(6).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from jaxgen.losses.adversarial import Critic, Updates
from jaxgen.losses.algebra import Loss, Params, draw

Augment = Callable[[Params, Array, Array], Array]  # (params, keys [B], x [B, H, W, C] in model space) -> x


class Augmentation(NamedTuple):
    """augment: what happens to the images. state: the variables of "augment", a network without parameters that the
    critic's player owns, or None where there is nothing that runs. adapt: the critic's loss -> the same, which also
    moves them."""

    augment: Augment
    state: dict[str, Any] | None = None
    adapt: Callable[[Loss], Loss] = lambda loss: loss


def augmented(augment: Augment, critic: Critic) -> Critic:
    """D(T(x), c)."""

    def judge(params: Params, x: Array, cond: Any, keys: Array) -> tuple[Array, Updates]:
        return critic(params, augment(params, draw(keys, 0xA46, lambda key: key), x), cond, keys)

    return judge


def unaugmented() -> Augmentation:
    """Images as they are."""
    return Augmentation(lambda params, keys, x: x)
