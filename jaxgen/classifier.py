"""The interface between networks that classify noisy data and what uses them: guidance, accuracy by noise level."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Apply, OfTime, Params, identity, one
from jaxgen.sde import SDE, expand


class Classifier(NamedTuple):
    """fn(x [B, ...], t [B]) -> logits [B, K] of p(c | x_t = x) on a process `sde`."""

    sde: SDE
    fn: Callable[[Array, Array], Array]

    def log_posterior(self, x: Array, t: Array, cond: Array) -> Array:
        """log p(cond | x_t = x) in nats: what `guidance.classifier` takes. cond: classes [B] int. -> [B]."""
        logp = jax.nn.log_softmax(self.fn(x, t))
        return jnp.take_along_axis(logp, cond[:, None], axis=1)[:, 0]


def classifier(
    apply: Apply,
    params: Params,
    sde: SDE,
    label: OfTime = identity,
    scale_in: OfTime = one,
    keys: Array | None = None,
) -> Classifier:
    """The network `apply(params, scale_in(t) x, label(t), None, keys)`, which gives logits, as a `Classifier`. keys:
    those of dropout, [B], while it is trained."""

    def fn(x: Array, t: Array) -> Array:
        return apply(params, expand(scale_in(sde, t), x) * x, label(sde, t), None, keys)

    return Classifier(sde, fn)
