"""How a training state is spread over a mesh, and the step compiled for it."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.custom_derivatives import linear_call
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.parallel.mesh import batch_sharding, replicated
from jaxgen.train.player import Training
from jaxgen.train.state import State

SMALLEST_SHARDED = 2**12  # elements; below, replicating a leaf is cheaper than gathering it

Rules = Sequence[tuple[str, int | None]]


def leaf_sharding(mesh: Mesh, leaf: Any, path: str = "", rules: Rules = ()) -> NamedSharding:
    """The largest dimension that the 'fsdp' axis divides is sharded over it; small leaves are replicated.

    rules: (regular expression, dimension or None for none), ... - the first that is found in `path` decides instead.
    """
    size = mesh.shape["fsdp"]
    ruled = [axis for pattern, axis in rules if re.search(pattern, path)]
    axis = ruled[0] if ruled else largest(leaf, size)
    if axis is not None and (axis >= leaf.ndim or leaf.shape[axis] % size):
        raise ValueError(
            f"parallel.rules shards dimension {axis} of {path}, whose shape is {leaf.shape}, over {size} devices: "
            "name a dimension that they divide, or None, in an earlier rule."
        )
    if axis is None or size == 1:
        return replicated(mesh)
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "fsdp"))


def largest(leaf: Any, size: int) -> int | None:
    """The largest dimension that `size` divides; None of small leaves."""
    divisible = [axis for axis, length in enumerate(leaf.shape) if length % size == 0]
    if not divisible or math.prod(leaf.shape) < SMALLEST_SHARDED:
        return None
    return max(divisible, key=lambda axis: leaf.shape[axis])


def state_sharding(mesh: Mesh, tree: Any, rules: Rules = ()) -> Any:
    """`leaf_sharding` of every leaf of a state (arrays or shapes), at paths like params/net/params/Conv_0/kernel; the
    optimizer's moments and the average have the names of their parameters at the end of their paths."""
    check_rules(rules)

    def of(path: Any, leaf: Any) -> NamedSharding:
        return leaf_sharding(mesh, leaf, jax.tree_util.keystr(path, simple=True, separator="/"), rules)

    return jax.tree_util.tree_map_with_path(of, tree)


def check_rules(rules: Rules) -> None:
    """Raises ValueError unless each is a pair of a regular expression and a dimension or None."""
    for rule in rules:
        try:
            pattern, axis = rule
            re.compile(pattern)
            if axis is not None and operator.index(axis) < 0:
                raise ValueError("the dimension is negative")
        except (TypeError, ValueError, re.error) as error:
            raise ValueError(
                "parallel.rules must hold pairs of a regular expression and a dimension or None, such as "
                f"('Dense_0/kernel', 1), got {rule!r}: {error}."
            ) from error


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Host arrays (this process's share) as global arrays, examples spread over all devices."""
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(batch_sharding(mesh), leaf), batch)


def compile_training(
    training: Training, mesh: Mesh, key: Array, batch: Any, rules: Rules = ()
) -> tuple[State, Callable[..., Any]]:
    """(initial state, compiled step) on `mesh`: one global program, whose state is sharded by rule and donated. `batch`
    is a global batch."""
    abstract = jax.eval_shape(training.init, key, batch)
    step = compile_step(training, mesh, abstract, rules)
    return jax.jit(training.init, out_shardings=state_sharding(mesh, abstract, rules))(key, batch), step


def compile_step(training: Training, mesh: Mesh, state: Any, rules: Rules = ()) -> jax.stages.Wrapped:
    """The step for a state (arrays or shapes): step(state, batch, key), jitted."""
    shardings = state_sharding(mesh, state, rules)
    return jax.jit(
        partial(training.step, on_mesh=partial(across, mesh, rules)),
        in_shardings=(shardings, batch_sharding(mesh), replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def across(mesh: Mesh, rules: Rules, loss: Loss) -> Loss:
    """The loss on a mesh: sharded parameters are gathered for it, so that they travel and activations never do. The
    keys are told where their examples are: what is drawn from them alone would else be computed on every device."""

    def on_mesh(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        shardings = state_sharding(mesh, {"params": params}, rules)["params"]
        params = jax.tree.map(partial(gathered, mesh), params, shardings)
        return loss(params, batch, jax.lax.with_sharding_constraint(keys, batch_sharding(mesh)))

    return on_mesh


def gathered(mesh: Mesh, leaf: Array, sharding: NamedSharding) -> Array:
    """The whole leaf on every device; its cotangent is reduced whole and then cut, as the partitioner would else let
    the cut reach into the layers, at the cost of their activations."""
    if sharding.is_fully_replicated:
        return leaf
    constrain = jax.lax.with_sharding_constraint
    whole: Array = linear_call(
        lambda _, x: constrain(x, replicated(mesh)),
        lambda _, cotangent: constrain(constrain(cotangent, replicated(mesh)), sharding),
        (),
        leaf,
    )
    return whole
