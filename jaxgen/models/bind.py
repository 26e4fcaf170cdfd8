"""From a linen module to the functions that losses and samplers call."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from jax import Array


def bind(module: nn.Module, name: str = "net") -> Callable[..., Any]:
    """apply(params, *args, **kwargs) = module(*args, **kwargs) with the variables params[name], none of which moves.

    params: {name: variables as module.init returns them}. A network of noisy data takes (x, label, cond=None,
    keys=None) with x: [B, ...]; label: [B], what it is told of time; cond: a pytree of leading B or None; keys: one
    typed key per example [B], or None: deterministic.
    """
    return lambda params, *args, **kwargs: module.apply(named(params, name), *args, **kwargs)


def stateful(module: nn.Module, name: str, method: Any = None) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """apply(params, *args, **kwargs) = (output, updates) of the module, or of its `method` (a name), with variables
    params[name].

    updates: {name: {collection: new value}} of every collection of params[name] but "params" (batch statistics, power
    iterations, codebooks), as `Aux.updates` takes them; {} where there is none. Whether any of them moves is the
    module's own argument `train`: otherwise they come back as they were.
    """

    def apply(params: Mapping[str, Any], *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        variables = named(params, name)
        collections = [collection for collection in variables if collection != "params"]
        if not collections:
            return module.apply(variables, *args, method=method, **kwargs), {}
        output, updated = module.apply(variables, *args, method=method, mutable=collections, **kwargs)
        return output, {name: dict(updated)}

    return apply


def features(module: nn.Module, name: str) -> Callable[..., tuple[Array, ...]]:
    """apply(params, x, cond, keys) = what the module shows of its inside (`layers.features.show`) in training mode."""

    def apply(params: Mapping[str, Any], x: Array, cond: Any = None, keys: Array | None = None) -> tuple[Array, ...]:
        variables = named(params, name)
        held = [collection for collection in variables if collection != "params"]
        _, seen = module.apply(variables, x, cond, keys, train=True, mutable=[*held, "features"])
        if "features" not in seen:
            raise ValueError(f"the network {name!r} ({type(module).__name__}) shows no features to match.")
        blocks: tuple[Array, ...] = seen["features"]["blocks"]
        return blocks

    return apply


def named(params: Mapping[str, Any], name: str) -> Any:
    """The variables of the network `name`. Raises ValueError where there is none."""
    if name not in params:
        raise ValueError(f"expected a network {name!r} among the parameters, got {sorted(params)}.")
    return params[name]
