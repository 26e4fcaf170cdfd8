"""The step of a training compiled for devices that are not here: nothing is allocated, nothing is run.

The program is lowered from shapes and partitioned over simulated devices of this host by XLA's CPU compiler, as that
of an accelerator partitions it. FLOPs agree between backends; collectives are those of the partitioner, of which an
accelerator may make cheaper ones (an all-reduce that is then cut, a reduce-scatter). Bytes moved and memory beside the
state are rather too large: a CPU fuses less, and computes bfloat16 in float32.

Gradients are accumulated in a loop, as on an accelerator. XLA counts the cost of its body once: what the other
turns add is counted in the program for a device's share of the batch before it is optimized, unrolled and not. What a
TPU's compiler takes out of the loop, the gathering of parameters and the reduction of gradients, a CPU's leaves inside;
it is counted once.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding

from jaxgen.losses.when import branched
from jaxgen.models.layers.conv import undivided
from jaxgen.parallel.collectives import Message, messages
from jaxgen.parallel.sharding import Rules, compile_step, state_sharding
from jaxgen.train.player import Training, accumulation

# The barriers of rematerialization stay until memory is planned, as on accelerators, and code is not made fast.
OPTIONS: dict[str, Any] = {
    "xla_disable_hlo_passes": "cse_barrier_expander",
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


class Compiled(NamedTuple):
    """What the partitioned program asks of each device for a step: FLOPs, bytes moved, messages to others; bytes of
    the state that it holds (parameters, moments, average), and of all that is alive at the worst moment beside it."""

    flops: float
    moved: float
    messages: list[Message]
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
    with undivided(), branched(), accumulation(unrolled=False):
        state = jax.eval_shape(training.init, key, batch)
        compiled: Any = compile_step(training, mesh, state, rules).lower(state, batch, key).compile(OPTIONS)
    cost, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    share = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((leaf.shape[0] // mesh.size, *leaf.shape[1:]), leaf.dtype), batch
    )
    once, whole = (unoptimized(training, share, unrolled) for unrolled in (False, True))
    state_bytes = bytes_a_device(state, state_sharding(mesh, state, rules))
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Compiled(
        cost["flops"] + whole["flops"] - once["flops"],
        cost["bytes accessed"] * whole["bytes accessed"] / once["bytes accessed"],
        [message._replace(times=1) for message in messages(compiled.as_text())],
        state_bytes,
        total + memory.temp_size_in_bytes - state_bytes,
    )


def bytes_a_device(tree: Any, shardings: Any) -> int:
    """Bytes of the shards of `tree` (arrays or shapes) that each device holds."""

    def of(leaf: Any, sharding: NamedSharding) -> int:
        return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(of, tree, shardings)))


def useful_flops(training: Training, batch: Any) -> float:
    """FLOPs of the step by the compiler's count of the whole program, before it is partitioned and optimized."""
    return unoptimized(training, batch, unrolled=True)["flops"]


def unoptimized(training: Training, batch: Any, unrolled: bool) -> dict[str, float]:
    """The compiler's count of that program, with the loop that accumulates gradients or without one."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    with undivided(), branched(), accumulation(unrolled):
        state = jax.eval_shape(training.init, key, batch)
        step = partial(training.step)  # not the same function again, of which JAX would remember the other trace
        return dict(jax.jit(step).lower(state, batch, key).cost_analysis() or {})
