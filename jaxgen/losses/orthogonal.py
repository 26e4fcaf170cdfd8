r"""Orthogonal regularization: the filters of a layer should not resemble each other.

    sum_W ||W^T W o (1 - I)||_F^2,   W [inputs, filters], the kernel of a layer

Source: Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (1809.11096), eq. 3; its
weight there is 1e-4.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import DictKey

from jaxgen.losses.algebra import Aux, Batch, Loss, Params


def orthogonal(name: str) -> Loss:
    """The regularizer of unit weight on every `kernel` of the network `name`, the same for each example: its last axis
    counts filters, the others are inputs."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        leaves = jax.tree_util.tree_leaves_with_path(params[name]["params"])
        kernels = [leaf for path, leaf in leaves if path[-1] == DictKey("kernel")]
        if not kernels:
            raise ValueError(f"orthogonal needs a network with kernels, but {name!r} has none.")
        return jnp.full(keys.shape, sum(map(resemblance, kernels))), Aux()

    return loss


def resemblance(kernel: Array) -> Array:
    """||W^T W o (1 - I)||_F^2 of a kernel [..., filters]."""
    w = kernel.reshape(-1, kernel.shape[-1])
    return jnp.sum(jnp.square(w.T @ w * (1 - jnp.eye(w.shape[1], dtype=w.dtype))))
