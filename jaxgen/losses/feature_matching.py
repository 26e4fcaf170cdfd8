r"""Feature matching: the generator makes what looks like data to the inside of a network f, usually the critic.

feature_matching:       sum_l mean |f_l(x) - f_l(G(c))|        of pairs (1711.11585 eq. 4)
mean_feature_matching:  sum_l || E f_l(x) - E f_l(G(z)) ||^2   of batches (1606.03498 section 3.1)
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxgen.losses.adversarial import Generate, fake_keys, real_keys
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.denoising import mean

Features = Callable[[Params, Array, Any, Array], Sequence[Array]]  # (params, x, cond, keys) -> each [B, ...]


def feature_matching(features: Features, generate: Generate) -> Loss:
    """The distance of each example to the fake that is to be it, with unit weight: for generators that are told of the
    example, by its layout, its sound or its other half. Fakes of latent variables alone pair with none: there every
    one would be drawn to the middle of the data, so take `mean_feature_matching`."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        both = pairs(features, generate, params, batch, keys)
        return jnp.sum(jnp.stack([mean(jnp.abs(a - b)) for a, b in both]), axis=0), Aux()

    return loss


def mean_feature_matching(features: Features, generate: Generate) -> Loss:
    """The distance of the means over the batch, the same for each example, with unit weight."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        both = pairs(features, generate, params, batch, keys)
        apart = [jnp.sum(jnp.square(jnp.mean(a - b, axis=0))) for a, b in both]
        return jnp.full(keys.shape, jnp.sum(jnp.stack(apart))), Aux()

    return loss


def pairs(
    features: Features, generate: Generate, params: Params, batch: Batch, keys: Array
) -> Sequence[tuple[Array, Array]]:
    """[(f_l(x), f_l(G(z))) for every layer l]."""
    cond = batch.get("cond")
    of_real = features(params, batch["x"], cond, real_keys(keys))
    of_fake = features(params, generate(params, batch, keys)[0], cond, fake_keys(keys))
    return list(zip(of_real, of_fake, strict=True))
