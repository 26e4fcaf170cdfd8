"""A training on devices: the same functions whichever way the step is mapped over them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxgen.parallel.fused import looped, scanned
from jaxgen.parallel.mesh import make_mesh, replicated
from jaxgen.parallel.pmap import pmap_training, replicate, unreplicate
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train.loop import Placed
from jaxgen.train.player import Training
from jaxgen.train.state import State


def place(training: Training, seed: int, batch: Any, parallel: ConfigDict) -> tuple[State, Placed]:
    """The initial state from `seed`, and the step, on all devices as the section `parallel` of a configuration says.

    batch: this process's share of a batch, host arrays. With mapping="pmap" the training must have been made with its
    axis; accumulate, remat and dtype are the training's own.
    """
    check_batch(jax.process_count() * jax.tree.leaves(batch)[0].shape[0], jax.device_count(), parallel.accumulate)
    mesh = make_mesh(parallel.data, parallel.fsdp)
    one_program = parallel.fused > 1 and jax.default_backend() != "cpu"
    stepping = scanned(training) if one_program else training
    put: Callable[[Any], Any]
    whole: Callable[[State], State]
    spread: Callable[[State], State]
    if parallel.mapping == "jit":
        put, whole, spread = partial(shard_batch, mesh), same, same
        key = jax.jit(lambda: jax.random.key(seed), out_shardings=replicated(mesh))()
        state, step = compile_training(stepping, mesh, key, put(batch), parallel.rules)
    elif parallel.mapping == "pmap":
        if parallel.fsdp != 1 or parallel.rules or jax.process_count() > 1:
            raise ValueError(
                "parallel.mapping=pmap holds the whole state on each device of one process, but parallel.fsdp is "
                f"{parallel.fsdp}, parallel.rules {tuple(parallel.rules)} and the processes {jax.process_count()}: "
                "use parallel.mapping=jit."
            )
        put, whole, spread = same, partial(unreplicated, mesh), replicate
        key = jax.random.key(seed)
        state, step = pmap_training(stepping, key, batch)
    else:
        raise ValueError(f"parallel.mapping must be 'jit' or 'pmap', got {parallel.mapping!r}.")
    steps = step if one_program else looped(step)
    return state, Placed(
        lambda state, batches: steps(state, batches, key),
        lambda batches: tuple(put(batch) for batch in batches),
        whole,
        spread,
        parallel.fused,
        mesh,
    )


def check_batch(size: int, devices: int, accumulate: int) -> None:
    """Raises ValueError unless `size` examples are spread evenly over the devices, and on each over its parts."""
    whole = devices * accumulate
    hint = f"--config.train.batch_size={-(-size // whole) * whole}"
    if size % devices:
        raise ValueError(f"a batch of {size} cannot be spread over {devices} devices: take {hint}.")
    if size // devices % accumulate:
        raise ValueError(
            f"a batch of {size} is {size // devices} on each of {devices} devices, which cannot be accumulated in "
            f"{accumulate} equal parts: take {hint} or another parallel.accumulate."
        )


def unreplicated(mesh: Mesh, state: State) -> State:
    """The state as the first device holds it, on the mesh."""
    return jax.device_put(unreplicate(state), replicated(mesh))


def same(tree: Any) -> Any:
    return tree
