"""How a training state is spread over a mesh, and the step compiled for it."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.parallel.mesh import batch_sharding, replicated
from jaxgen.train.player import Training
from jaxgen.train.state import State

SMALLEST_SHARDED = 2**12  # elements; below, replicating a leaf is cheaper than gathering it


def leaf_sharding(mesh: Mesh, leaf: Any) -> NamedSharding:
    """The largest dimension that the 'fsdp' axis divides is sharded over it; small leaves are replicated."""
    size = mesh.shape["fsdp"]
    divisible = [axis for axis, length in enumerate(leaf.shape) if length % size == 0]
    if size == 1 or not divisible or math.prod(leaf.shape) < SMALLEST_SHARDED:
        return replicated(mesh)
    axis = max(divisible, key=lambda axis: leaf.shape[axis])
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, "fsdp"))


def state_sharding(mesh: Mesh, state: Any) -> Any:
    """`leaf_sharding` of every leaf of a state (arrays or shapes)."""
    return jax.tree.map(lambda leaf: leaf_sharding(mesh, leaf), state)


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Host arrays (this process's share) as global arrays, examples spread over all devices."""
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(batch_sharding(mesh), leaf), batch)


def compile_training(training: Training, mesh: Mesh, key: Array, batch: Any) -> tuple[State, Callable[..., Any]]:
    """(initial state, compiled step) on `mesh`: one global program, whose state is sharded by rule and donated. `batch`
    is a global batch."""

    abstract = jax.eval_shape(training.init, key, batch)
    shardings = state_sharding(mesh, abstract)
    state = jax.jit(training.init, out_shardings=shardings)(key, batch)
    step = jax.jit(
        training.step,
        in_shardings=(shardings, batch_sharding(mesh), replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )
    return state, step
