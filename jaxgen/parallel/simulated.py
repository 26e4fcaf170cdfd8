"""The step of a training compiled for devices that are not here: nothing is allocated, nothing is run.

The program is lowered from shapes and partitioned over simulated devices of this host by XLA's CPU compiler, as that
of an accelerator partitions it. FLOPs agree between backends; collectives are those of the partitioner, of which an
accelerator may make cheaper ones (an all-reduce that is then cut, a reduce-scatter). Bytes moved and memory beside the
state are rather too large: a CPU fuses less, and computes bfloat16 in float32.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding

from jaxgen.models.layers.conv import undivided
from jaxgen.parallel.collectives import Collective, collectives
from jaxgen.parallel.sharding import Rules, compile_step, state_sharding
from jaxgen.train.player import Training

# The barriers of rematerialization stay until memory is planned, as on accelerators, and code is not made fast.
OPTIONS: dict[str, Any] = {
    "xla_disable_hlo_passes": "cse_barrier_expander",
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


class Compiled(NamedTuple):
    """What the partitioned program asks of each device for a step: FLOPs, bytes moved, {kind: collectives}; bytes of
    the state that it holds (parameters, moments, average), and of all that is alive at the worst moment beside it."""

    flops: float
    moved: float
    collectives: dict[str, Collective]
    state: int
    beside: int


def host_devices(count: int) -> Sequence[jax.Device]:
    """`count` devices simulated on this host, whatever accelerators it has. Raises ValueError where JAX has begun with
    fewer."""
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:  # JAX runs already
        pass
    devices = jax.devices("cpu")
    if len(devices) < count:
        raise ValueError(f"a mesh of {count} devices is simulated in a new process; this one has {len(devices)}.")
    return devices[:count]


def simulate(training: Training, mesh: Mesh, batch: Any, rules: Rules = ()) -> Compiled:
    """The step on `mesh` for a global `batch` of shapes."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    with undivided():
        state = jax.eval_shape(training.init, key, batch)
        compiled: Any = compile_step(training, mesh, state, rules).lower(state, batch, key).compile(OPTIONS)
    cost, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    held = bytes_a_device(state, state_sharding(mesh, state, rules))
    alive = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Compiled(
        cost["flops"],
        cost["bytes accessed"],
        collectives(compiled.as_text()),
        held,
        alive + memory.temp_size_in_bytes - held,
    )


def bytes_a_device(tree: Any, shardings: Any) -> int:
    """Bytes of the shards of `tree` (arrays or shapes) that each device holds."""

    def of(leaf: Any, sharding: NamedSharding) -> int:
        return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(of, tree, shardings)))


def useful_flops(training: Training, batch: Any) -> float:
    """FLOPs of the step by the compiler's count of the whole program, before it is partitioned and optimized."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    with undivided():
        state = jax.eval_shape(training.init, key, batch)
        cost = jax.jit(training.step).lower(state, batch, key).cost_analysis() or {}
    return float(cost["flops"])
