r"""The likelihood of integers by a flow: a density of x + u, with the noise u that fills the bins of the levels.

    log P(x)  >=  E_q[ log p(v) + log |det dv/dy| - log q(u | x) ],    y = x + u,  u ~ q(u | x) on [0, 1)^D

v = T(y) in model space, p(v) = p(f(v)) |det df/dv| by the flow f and its base. q = 1 is uniform dequantization (Theis,
van den Oord, Bethge 2016, "A note on the evaluation of generative models", section 3.1), a network variational
dequantization (Ho et al. 2019, "Flow++", eq. 5). K draws of u make the importance-weighted bound, which is tighter:
log 1/K sum_k p(x + u_k) / q(u_k | x) (Hoogeboom et al. 2020, "Learning discrete distributions by dequantization").
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.bijectors.bijector import Bijector, real
from jaxgen.data.transforms import dequantize
from jaxgen.keys import draw, fold
from jaxgen.losses.algebra import Aux, Batch, Loss, Params

BASE, NOISE, DROPOUT, DEQUANTIZER = 0x1A7E, 0xDE94, 0xF10D, 0xDE90  # salts

Apply = Callable[..., tuple[tuple[Array, Array], dict[str, Any]]]
Dequantizer = Callable[[Params, Batch, Array], tuple[Array, Array, dict[str, Any]]]


class Base(NamedTuple):
    """log_prob: z [B, D] -> [B] nats; sample: (keys [B], D) -> z [B, D]."""

    log_prob: Callable[[Array], Array]
    sample: Callable[[Array, int], Array]


NORMAL = Base(
    lambda z: jnp.sum(gaussian.log_prob(z), axis=-1),
    lambda keys, size: gaussian.noise(keys, BASE, (size,)),
)
LOGISTIC = Base(  # log p(z) = -log(1 + e^z) - log(1 + e^-z)
    lambda z: jnp.sum(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z), axis=-1),
    lambda keys, size: draw(keys, BASE, lambda key: jax.random.logistic(key, (size,))),
)


def density(apply: Apply, base: Base, keyed: bool) -> Loss:
    """-log p(v) of batch["x"] = v in model space, and batch["cond"], in nats. apply(params, v, cond, keys) ->
    ((z [B, D], log |det dz/dv| [B]), updates); it is given keys if `keyed`, else None."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        own = fold(keys, DROPOUT) if keyed else None
        (z, log_det), updates = apply(params, batch["x"], batch.get("cond"), own)
        return -base.log_prob(z) - log_det, Aux({}, updates)

    return loss


def uniform(params: Params, batch: Batch, keys: Array) -> tuple[Array, Array, dict[str, Any]]:
    """y = x + u, u ~ U[0, 1)^D, with log q = 0, as a `Dequantizer`: (params, batch with "x" in levels, keys [B]) ->
    (y [B, ...], log q(u | x) [B] nats, updates)."""
    y = dequantize(fold(keys, NOISE), batch["x"])
    return y, jnp.zeros(y.shape[:1], y.dtype), {}


def variational(apply: Apply, bijection: Bijector, keyed: bool) -> Dequantizer:
    """u = g(eps; x) in (0, 1), eps ~ N(0, I), log q(u | x) = log N(eps) - log |det du/deps|. apply(params, v, eps,
    cond, keys) -> ((u, log |det du/deps|), updates), with v = `bijection`(x + 1/2): the middle of the bins in model
    space; v, eps and u are [B, ...] of the shape of x. It is given keys if `keyed`, else None."""

    def dequantizer(params: Params, batch: Batch, keys: Array) -> tuple[Array, Array, dict[str, Any]]:
        x = batch["x"].astype(jnp.result_type(float))
        eps = gaussian.noise(keys, NOISE, x.shape[1:])
        own = fold(keys, DEQUANTIZER) if keyed else None
        (u, log_det), updates = apply(params, bijection.forward(x + 0.5), eps, batch.get("cond"), own)
        log_q = jnp.sum(gaussian.log_prob(eps).reshape(x.shape[0], -1), axis=-1) - log_det
        return jnp.minimum(x + u, jnp.nextafter(x + 1, x)), log_q, updates

    return dequantizer


def dequantized(dequantizer: Dequantizer, bijection: Bijector, loss: Loss) -> Loss:
    """-log P(x) of batch["x"] in levels, or more: a draw of the bound, in nats. `loss` is -log p(v) of v =
    `bijection`(y) in model space."""

    def bound(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        y, log_q, updates = dequantizer(params, batch, keys)
        v, log_det = bijection.forward_and_log_det(y)
        value, aux = loss(params, {**batch, "x": v}, keys)
        return value + log_q - log_det, aux._replace(updates={**updates, **aux.updates})

    return bound


def noised(std: float, bijection: Bijector, loss: Loss) -> Loss:
    """-log p(v) - log |det dv/dx| of v = `bijection`(x) + std eps, eps ~ N(0, I), with batch["x"] = x in levels: of
    images with noise, in nats. It is no likelihood of the integers, out of whose bins the noise leads (Zhai et al.
    2024, "Normalizing Flows are Capable Generative Models", section 2.4)."""

    def density_of_noised(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        v, log_det = bijection.forward_and_log_det(real(batch["x"]))
        value, aux = loss(params, {**batch, "x": gaussian.sample(keys, NOISE, v, jnp.log(std))}, keys)
        return value - log_det, aux

    return density_of_noised
