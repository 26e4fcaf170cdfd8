r"""The loss of a classifier of noisy data, as guidance by a classifier needs it.

    l(x_0, c) = -w(t) log p(c | x_t),   x_t = alpha(t) x_0 + sigma(t) eps

Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", appendix I.1.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.classifier import classifier
from jaxgen.denoiser import Apply, OfTime, identity, one
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.times import Times, uniform
from jaxgen.sde import SDE, expand


def classification(
    apply: Apply, sde: SDE, times: Times = uniform, label: OfTime = identity, scale_in: OfTime = one
) -> Loss:
    """The cross-entropy of batch["cond"] [B] int and the logits of x_t, at times drawn by `times` with their importance
    weights w; the metric "accuracy" is the share of classes that are right, over all noise levels."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x0, cond = batch["x"], batch["cond"]
        t, importance = times(keys, sde)
        eps = gaussian.noise(keys, 0xC1A5, x0.shape[1:], x0.dtype)
        mean, std = sde.marginal(x0, t)
        judge = classifier(apply, params, sde, label, scale_in, keys)
        logp = jax.nn.log_softmax(judge.fn(mean + expand(std, x0) * eps, t))
        right = (jnp.argmax(logp, axis=-1) == cond).astype(logp.dtype)
        return -importance * jnp.take_along_axis(logp, cond[:, None], axis=1)[:, 0], Aux({"accuracy": right})

    return loss
