r"""What keeps a hierarchy of batch-normalized cells smooth: penalties on the parameters of a network alone.

    sum_l sigma(W_l),   v = W^T u / |W^T u|,   u' = W v / |W v|,   sigma(W) = u'^T W v

W: [out, rest], the kernel of a convolution with its output first; u is carried from step to step.
Source: Vahdat and Kautz 2020, "NVAE: A Deep Hierarchical Variational Autoencoder", section 3.2.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import Array

from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.spectral_norm import power_iteration, unit

STATE = "spectral"  # of the pseudo-network that carries u
ITERATIONS = 4  # a step, and ten times as many at first, in the code of NVAE


def matrices(variables: Any) -> dict[str, Array]:
    """The kernels of all convolutions as stacks of matrices [n, out, rest], those of one shape together."""
    stacks: dict[str, list[Array]] = {}
    for path, leaf in sorted(flatten_dict(variables["params"], sep="/").items()):
        if path.endswith("kernel") and leaf.ndim == 4:
            w = leaf.reshape(-1, leaf.shape[-1]).T
            stacks.setdefault("x".join(map(str, w.shape)), []).append(w)
    return {shape: jnp.stack(stack) for shape, stack in stacks.items()}


def unmeasured(variables: Any, iterations: int = 10 * ITERATIONS) -> dict[str, Any]:
    """The pseudo-network "spectral", which the player that owns the network of these `variables` owns too: u of every
    kernel after some power iterations from a fixed start."""

    def measured(w: Array) -> Array:
        start = unit(jnp.asarray(np.random.default_rng(w.shape[0]).normal(size=w.shape[0]), w.dtype))
        return jax.lax.fori_loop(0, iterations, lambda _, u: power_iteration(w, u)[1], start)

    return {"params": {}, "state": {shape: jax.vmap(measured)(w) for shape, w in matrices(variables).items()}}


def largest(w: Array, u: Array) -> tuple[Array, Array]:
    """(sigma, u'): the spectral norm of w [out, rest] after some power iterations from u, and where they end."""
    fixed = jax.lax.stop_gradient(w)
    u = jax.lax.fori_loop(0, ITERATIONS - 1, lambda _, u: power_iteration(fixed, u)[1], u)
    return power_iteration(w, u)


def spectral_norms(name: str) -> Loss:
    """The sum over the convolutions of the network `name` of the spectral norms of their kernels, the same for every
    example; params["spectral"] is of `unmeasured`."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        state = params[STATE]["state"]
        found = {shape: jax.vmap(largest)(w, state[shape]) for shape, w in matrices(params[name]).items()}
        value = jnp.sum(jnp.stack([jnp.sum(sigma) for sigma, _ in found.values()]))
        moved = jax.lax.stop_gradient({shape: u for shape, (_, u) in found.items()})
        return jnp.broadcast_to(value, keys.shape), Aux(updates={STATE: {"state": moved}})

    return loss


def batch_norm_scales(name: str) -> Loss:
    """The sum over the batch normalizations of the network `name` of max_c |gamma_c|, the same for every example: a
    convolution before one is of no size of its own. Zero where there are none."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        leaves = flatten_dict(params[name]["params"])
        scales = [leaf for path, leaf in leaves.items() if path[-1] == "scale" and path[-2].startswith("BatchNorm")]
        value = sum((jnp.max(jnp.abs(scale)) for scale in scales), jnp.zeros(()))
        return jnp.broadcast_to(value, keys.shape), Aux()

    return loss
