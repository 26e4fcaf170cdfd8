"""Losses as values: pure functions that return one number per example, and the combinators that keep them so.

    Loss = (params, batch, keys) -> (loss [B], Aux)

`params` maps network names to variables, `batch` is a dict whose leaves have a leading axis B (and the scalar "step"),
`keys` holds one random key per example: everything random about example i comes from keys[i], so a loss is the same
number on any mesh, in any mapping and under any gradient accumulation. Nothing is reduced here: the step does it once.
What a loss says of its batch as a whole (batch statistics, a weight that balances gradients) is of the part of the
batch that it is given.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Params
from jaxgen.keys import draw
from jaxgen.losses.when import is_due, when, zeros_of

Batch = dict[str, Any]


class Aux(NamedTuple):
    """What a loss reports: `metrics` name -> [B], `updates` network name -> {collection: new value}. Updates count for
    the networks of the player whose loss it is; the others belong to another's."""

    metrics: dict[str, Any] = {}
    updates: dict[str, Any] = {}


Loss = Callable[[Params, Batch, Array], tuple[Array, Aux]]
Weight = float | Callable[[Array], Array] | Callable[[Params, Batch, Array], Array]


@partial(jax.tree_util.register_dataclass, data_fields=["value"], meta_fields=["every"])
@dataclass(frozen=True)
class Periodic:
    """A metric that only the steps n, 2n, ... of a training measure, n = `every`; at the others `value` is zero and
    means nothing. Logs leave it out there."""

    value: Array
    every: int


def periodic(n: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of what is computed at the steps n, 2n, ... only."""

    def rare(metric: Any) -> Periodic:
        known = isinstance(metric, Periodic)
        return Periodic(metric.value, math.lcm(metric.every, n)) if known else Periodic(metric, n)

    return dict(metrics) if n == 1 else {name: rare(metric) for name, metric in metrics.items()}


def add(*losses: Loss) -> Loss:
    """l_1 + l_2 + ...; metrics are united, later ones winning. A later loss sees the updates of an earlier one, so that
    those of the last are those of all."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        values: list[Array] = []
        metrics: dict[str, Any] = {}
        updates: dict[str, Any] = {}
        for part in losses:
            value, aux = part(united(params, jax.lax.stop_gradient(updates)) if updates else params, batch, keys)
            values.append(value)
            metrics |= aux.metrics
            updates = united(updates, aux.updates)
        return sum(values[1:], values[0]), Aux(metrics, updates)

    return loss


def united(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """{network: {collection: value}} with the collections of `new` in place of those of `old`."""
    return {**old, **{name: {**old.get(name, {}), **collections} for name, collections in new.items()}}


def scale(weight: Weight, loss: Loss) -> Loss:
    """w l. The weight is a number; a schedule of the training step; or a function (params, batch, keys) -> scalar or
    [B], such as a balance of gradients, which is a constant to the gradient of this loss."""
    weigh = weigher(weight)

    def scaled(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return weigh(params, batch, keys) * value, aux

    return scaled


def weigher(weight: Weight) -> Callable[[Params, Batch, Array], Any]:
    """A weight of whichever kind as a function (params, batch, keys); of three arguments without a default it is one
    already."""
    if not callable(weight):
        return lambda params, batch, keys: weight
    asked = [p for p in inspect.signature(weight).parameters.values() if p.default is p.empty]
    function: Any = weight
    if len(asked) == 3:
        return lambda params, batch, keys: jax.lax.stop_gradient(function(params, batch, keys))
    return lambda params, batch, keys: function(batch["step"])


def named(name: str, loss: Loss) -> Loss:
    """The same loss, reported among the metrics as `name`."""

    def reported(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return value, aux._replace(metrics={**aux.metrics, name: value})

    return reported


def watched(loss: Loss) -> Loss:
    """Zero, with the metrics of the loss: what is seen and not trained."""

    def seen(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return jnp.zeros_like(value), Aux(aux.metrics)

    return seen


def mask(where: Callable[[Batch], Array], loss: Loss) -> Loss:
    """The loss on the examples where `where(batch)` [B] is true, zero on the others."""

    def masked(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value, aux = loss(params, batch, keys)
        return jnp.where(where(batch), value, 0), aux

    return masked


def every(n: int, loss: Loss) -> Loss:
    """n l at the steps n, 2n, ... and zero at the others: lazy regularization with an unchanged mean weight
    (1912.04958 appendix B). It is not computed at the steps between: its metrics are `Periodic`, its collections stay.

    The sum of a loss and a lazy one is still one move of the optimizer a step, so Adam stays as it is. Where the lazy
    one gets a move of its own, as published (`Player.lazy`), an optimizer makes n + 1 moves in n steps, and Adam is
    rescaled by c = n/(n + 1) (`optimizers.lazy`).
    """
    if n == 1:
        return loss

    def lazy(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        def compute() -> tuple[Array, Aux]:
            value, aux = loss(params, batch, keys)
            return n * value, aux._replace(updates=fitted(aux.updates, params))

        def nothing() -> tuple[Array, Aux]:
            zeros: tuple[Array, Aux] = zeros_of(compute)
            kept = {name: {key: params[name][key] for key in new} for name, new in zeros[1].updates.items()}
            return zeros[0], zeros[1]._replace(updates=kept)

        value, aux = when(is_due(batch["step"], n), compute, nothing)
        return value, aux._replace(metrics=periodic(n, aux.metrics))

    return lazy


def fitted(updates: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The updates in the dtypes of what they replace in `variables`. Raises ValueError where there is nothing like
    them."""

    def fit(where: str, new: Any, old: Any) -> Any:
        if old is None or jax.tree.map(jnp.shape, new) != jax.tree.map(jnp.shape, old):
            raise ValueError(
                f"a loss updates {where} with arrays of the shapes {jax.tree.map(jnp.shape, new)}, but init_params "
                f"makes {'none' if old is None else jax.tree.map(jnp.shape, old)}: make the same there, or leave them "
                "out of Aux.updates."
            )
        return jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), new, old)

    return {
        name: {key: fit(f"{name}/{key}", new, variables.get(name, {}).get(key)) for key, new in collections.items()}
        for name, collections in updates.items()
    }


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
