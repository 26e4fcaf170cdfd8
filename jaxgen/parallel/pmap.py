"""The classic `jax.pmap` mapping of the same step: replicated state, one share of the batch per device."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxgen.train.player import Training
from jaxgen.train.state import State

AXIS = "data"


def split_batch(batch: Any, devices: int) -> Any:
    """[B, ...] -> [devices, B / devices, ...], leaf by leaf."""

    def split(leaf: Any) -> Any:
        if leaf.shape[0] % devices:
            raise ValueError(f"a batch of {leaf.shape[0]} cannot be split over {devices} devices.")
        return leaf.reshape(devices, -1, *leaf.shape[1:])

    return jax.tree.map(split, batch)


def pmap_training(training: Training, key: Array, batch: Any, devices: Any = None) -> tuple[State, Callable[..., Any]]:
    """(replicated initial state, step(state, batch, key)) of a `training(..., axis_name=AXIS)`.

    Metrics come back from the first device; all devices hold the same.
    """
    devices = jax.devices() if devices is None else devices

    def init(key: Array, batch: Any) -> State:
        state = training.init(key, batch)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(devices), *leaf.shape)), state)

    mapped = jax.pmap(training.step, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=0, devices=devices)

    def step(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        state, metrics = mapped(state, split_batch(batch, len(devices)), key)
        return state, jax.tree.map(lambda leaf: leaf[0], metrics)

    return jax.jit(init, out_shardings=copies(devices))(key, batch), step


@jax.jit
def unreplicate(state: State) -> State:
    """The state as the first device holds it."""
    return jax.tree.map(lambda leaf: leaf[0], state)


def replicate(state: State) -> State:
    """The inverse of `unreplicate`: a copy for each device."""
    devices = jax.devices()
    return jax.tree.map(
        lambda leaf: jax.device_put(np.broadcast_to(np.asarray(leaf), (len(devices), *leaf.shape)), copies(devices)),
        state,
    )


def copies(devices: Sequence[jax.Device]) -> NamedSharding:
    """Row i of [devices, ...] is on device i: where the mapped step expects its state."""
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec(AXIS))
