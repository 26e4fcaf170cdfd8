"""From a linen module to the function that losses and samplers call."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from jax import Array


def bind(module: nn.Module, name: str = "net") -> Callable[..., Array]:
    """apply(params, x, label, cond=None, keys=None) = module(x, label, cond, keys) with variables params[name].

    params: {name: variables as module.init returns them}; x: [B, ...]; label: [B], what the network is told of
    time; cond: a pytree of leading B or None; keys: one typed key per example [B], or None: deterministic.
    """

    def apply(params: Mapping[str, Any], x: Array, label: Array, cond: Any = None, keys: Array | None = None) -> Array:
        if name not in params:
            raise ValueError(f"expected a network {name!r} among the parameters, got {sorted(params)}")
        y: Any = module.apply(params[name], x, label, cond, keys)
        return y

    return apply
