"""A training on devices: the same four functions whichever way the step is mapped over them."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxgen.parallel.mesh import make_mesh, replicated
from jaxgen.parallel.pmap import AXIS, pmap_training, unreplicate
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train.loop import Placed
from jaxgen.train.player import Training
from jaxgen.train.state import State


def place(
    training: Training, seed: int, batch: Any, mapping: str = "jit", data: int = -1, fsdp: int = 1
) -> tuple[State, Placed]:
    """The initial state from `seed`, and the step, mapped by "jit" over a (data, fsdp) mesh or by "pmap" over all.

    batch: this process's share of a batch, host arrays. With "pmap" the training must have been made with its axis.
    """
    devices, size = jax.local_device_count(), jax.tree.leaves(batch)[0].shape[0]
    if size % devices:
        raise ValueError(f"a batch of {size} cannot be spread over {devices} devices: change train.batch_size.")
    if mapping == "jit":
        mesh = make_mesh(data, fsdp)
        put = partial(shard_batch, mesh)
        key = jax.jit(lambda: jax.random.key(seed), out_shardings=replicated(mesh))()
        state, step = compile_training(training, mesh, key, put(batch))
        return state, Placed(lambda state, batch: step(state, batch, key), put, lambda s: s, lambda s: s)
    if mapping == "pmap":
        if fsdp != 1:
            raise ValueError(f"pmap replicates the parameters, but parallel.fsdp is {fsdp}: use mapping='jit'.")
        key = jax.random.key(seed)
        state, step = pmap_training(training, key, batch)
        share = NamedSharding(jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,)), PartitionSpec(AXIS))

        def spread(state: State) -> State:
            return jax.tree.map(
                lambda leaf: jax.device_put(np.broadcast_to(np.asarray(leaf), (devices, *leaf.shape)), share), state
            )

        return state, Placed(lambda state, batch: step(state, batch, key), lambda b: b, unreplicate, spread)
    raise ValueError(f"parallel.mapping must be 'jit' or 'pmap', got {mapping!r}.")
