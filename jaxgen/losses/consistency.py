r"""Consistency regularization: the critic judges an image and its augmentation alike.

    (D(x) - D(T(x)))^2 of the data (CR-GAN), and of the fakes too (balanced, bCR-GAN)

Sources: Zhang et al. 2020, "Consistency Regularization for Generative Adversarial Networks" (1910.12027); Zhao
et al. 2021, "Improved Consistency Regularization for GANs" (2002.04724), algorithm 1.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxgen.losses.adversarial import Critic, Generate
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, draw
from jaxgen.losses.denoising import mean
from jaxgen.losses.penalties import Points, at_data, at_fakes

Augment = Callable[[Params, Array, Array], Array]  # (params, keys [B], x [B, H, W, C] in model space) -> x


def consistency(critic: Critic, augment: Augment) -> Loss:
    """(D(x) - D(T(x)))^2 of the data, with unit weight."""
    return alike(critic, at_data, augment)


def fake_consistency(critic: Critic, generate: Generate, augment: Augment) -> Loss:
    """(D(G(z)) - D(T(G(z))))^2: with `consistency`, the balanced form."""
    return alike(critic, at_fakes(generate), augment)


def alike(critic: Critic, points: Points, augment: Augment) -> Loss:
    """(D(x) - D(T(x)))^2 at the `points`; whatever else is random in the critic is the same for both."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x, seen = points(params, batch, keys)
        moved = augment(params, draw(keys, 0xC045, lambda key: key), x)
        plain, _ = critic(params, x, batch.get("cond"), seen)
        other, _ = critic(params, moved, batch.get("cond"), seen)
        return mean(jnp.square(plain - other)), Aux()

    return loss
