r"""A weight that keeps two losses in balance, by the gradients they send into one layer.

    lambda = ||grad_W L_reference|| / (||grad_W L|| + 1e-4),  in [0, 1e4]

Source: Esser, Rombach, Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis" (2012.09841), eq. 7, where
W is the last layer of the decoder, L what the critic says and the reference what reconstruction costs.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.losses.algebra import Aux, Batch, Loss, Params

LEAST, MOST = 1e-4, 1e4


def adaptive(layer: Sequence[str], reference: Loss, loss: Loss) -> Loss:
    """lambda times `loss`, whose own gradient does not see lambda. `layer` is the path of W in params, such as
    ("autoencoder", "params", "decoder", "conv_out", "kernel"). The metric "adaptive_weight" is lambda, of the batch, or
    of each part of it under gradient accumulation and pmap. Raises ValueError where there is no such layer."""

    def balanced(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        def norm(of: Loss) -> Array:
            def at(w: Array) -> Array:
                return jnp.mean(of(replaced(params, layer, w), batch, keys)[0])

            return jnp.linalg.norm(jax.grad(at)(found(params, layer)))

        weight = jax.lax.stop_gradient(jnp.clip(norm(reference) / (norm(loss) + LEAST), 0, MOST))
        value, aux = loss(params, batch, keys)
        return weight * value, aux._replace(metrics={**aux.metrics, "adaptive_weight": jnp.full(keys.shape, weight)})

    return balanced


def found(params: Params, path: Sequence[str]) -> Array:
    """The leaf at `path`."""
    tree: Any = params
    for i, key in enumerate(path):
        if not hasattr(tree, "keys") or key not in tree:
            known = ", ".join(tree) if hasattr(tree, "keys") else "no layers"
            raise ValueError(f"there is no layer {'/'.join(path)}: {'/'.join(path[:i]) or 'params'} has {known}.")
        tree = tree[key]
    leaf: Array = tree
    return leaf


def replaced(tree: Any, path: Sequence[str], leaf: Array) -> Any:
    """`tree` with another leaf at `path`."""
    return {**tree, path[0]: replaced(tree[path[0]], path[1:], leaf)} if path else leaf
