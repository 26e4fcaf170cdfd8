"""Losses as values: pure functions that return one number per example, and the combinators that keep them so.

    Loss = (params, batch, keys) -> (loss [B], Aux)

`params` maps network names to variables, `batch` is a dict whose leaves have a leading axis B (and the scalar "step"),
`keys` holds one random key per example: everything random about example i comes from keys[i], so a loss is the same
number on any mesh, in any mapping and under any gradient accumulation. Nothing is reduced here: the step does it once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Params

Batch = dict[str, Any]


class Aux(NamedTuple):
    """What a loss reports: `metrics` name -> [B], `updates` network name -> {collection: new value}."""

    metrics: dict[str, Array] = {}
    updates: dict[str, Any] = {}


Loss = Callable[[Params, Batch, Array], tuple[Array, Aux]]


def draw(keys: Array, salt: int, sampler: Callable[[Array], Array]) -> Array:
    """sampler(fold_in(keys[i], salt)) for every example i, stacked. Different salts give independent draws."""
    return jax.vmap(lambda key: sampler(jax.random.fold_in(key, salt)))(keys)


def add(*losses: Loss) -> Loss:
    """l_1 + l_2 + ...; metrics and updates are united, later ones winning."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        values, parts = zip(*(part(params, batch, keys) for part in losses), strict=True)
        metrics = {name: value for part in parts for name, value in part.metrics.items()}
        updates = {name: value for part in parts for name, value in part.updates.items()}
        return sum(values[1:], values[0]), Aux(metrics, updates)

    return loss


def scale(weight: float | Callable[[Array], Array], loss: Loss) -> Loss:
    """w l, with w a number or a schedule of the training step."""

    def scaled(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return (weight(batch["step"]) if callable(weight) else weight) * value, aux

    return scaled


def named(name: str, loss: Loss) -> Loss:
    """The same loss, reported among the metrics as `name`."""

    def reported(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return value, aux._replace(metrics={**aux.metrics, name: value})

    return reported


def mask(where: Callable[[Batch], Array], loss: Loss) -> Loss:
    """The loss on the examples where `where(batch)` [B] is true, zero on the others."""

    def masked(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return jnp.where(where(batch), value, 0), aux

    return masked


def every(n: int, loss: Loss) -> Loss:
    """n l at steps divisible by n and zero at the others: lazy regularization with an unchanged mean weight
    (1912.04958 appendix B). The loss is not computed at the steps between."""

    def lazy(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        due = batch["step"] % n == 0
        nothing = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(loss, params, batch, keys)
        )
        value, aux = jax.lax.cond(due, lambda: loss(params, batch, keys), lambda: nothing)
        if aux.updates:
            raise ValueError(
                "every(n, loss) cannot hold a loss that updates collections: the update would be lost between."
            )
        return n * value, aux

    return lazy


def on(batch_fn: Callable[[Batch], Batch], loss: Loss) -> Loss:
    """The loss on batch_fn(batch): another view, augmentation or key of the same batch."""
    return lambda params, batch, keys: loss(params, batch_fn(batch), keys)


def drop_condition(rate: float, null: Any, loss: Loss) -> Loss:
    """The loss with each example's condition replaced by `null` with probability `rate`, as classifier-free guidance
    trains (2207.12598 algorithm 1)."""

    def dropped(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        gone = draw(keys, 0x0C0D, lambda key: jax.random.bernoulli(key, rate))

        def replace(leaf: Array, nothing: Any) -> Array:
            return jnp.where(gone.reshape(gone.shape + (1,) * (leaf.ndim - 1)), jnp.asarray(nothing, leaf.dtype), leaf)

        return loss(params, {**batch, "cond": jax.tree.map(replace, batch["cond"], null)}, keys)

    return dropped
