"""What a training run is, as arrays: `State`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax import Array

Tree = Any


class State(NamedTuple):
    """Arrays only: optimizers, networks and losses are closed over by the step.

    step: int32, the number of steps taken. params: {network: trained variables}. extra: {network: collections that
    losses update but gradients do not} (batch statistics, codebooks). opt: one optimizer state per player. ema: the
    moving average of params, or None. skipped: int32 [2], how many steps changed nothing, because a loss or gradients
    were not finite: in all, and in a row just now.
    """

    step: Array
    params: dict[str, Tree]
    extra: dict[str, Tree]
    opt: tuple[Tree, ...]
    ema: dict[str, Tree] | None
    skipped: Array


def split(variables: dict[str, Tree]) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """(params, extra) of named networks: of a linen variable dict the collection "params" is trained and the others are
    not; any other tree is trained whole."""
    params, extra = {}, {}
    for name, tree in variables.items():
        if isinstance(tree, Mapping) and "params" in tree:
            params[name] = {"params": tree["params"]}
            rest = {collection: value for collection, value in tree.items() if collection != "params"}
            if rest:
                extra[name] = rest
        else:
            params[name] = tree
    return params, extra


def join(params: dict[str, Tree], extra: dict[str, Tree]) -> dict[str, Tree]:
    """The inverse of `split`: what losses and `module.apply` take."""
    return {name: {**tree, **extra[name]} if name in extra else tree for name, tree in params.items()}


def averaged(state: State) -> dict[str, Tree]:
    """The variables to sample and evaluate with: the moving average where there is one, of what gradients train. Other
    collections (codebooks, batch statistics) are the latest, those of the network that trains: near those of its
    average once the learning rate is small, or measured anew where a recipe can."""
    return join(state.params if state.ema is None else state.ema, state.extra)
