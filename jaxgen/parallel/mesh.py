"""The mesh every run lives on: axes 'data' (examples) and 'fsdp' (examples and parameters)."""

from collections.abc import Sequence

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A (data, fsdp) mesh over `devices` (default: all); -1 takes what the other axis leaves."""
    devices = jax.devices() if devices is None else list(devices)
    shape = [data, fsdp]
    if shape.count(-1) == 1 and max(shape) > 0:
        shape[shape.index(-1)] = len(devices) // max(shape)
    if min(shape) < 1 or shape[0] * shape[1] != len(devices):
        raise ValueError(
            f"a mesh of data={data} x fsdp={fsdp} does not cover {len(devices)} devices: their product must be "
            f"{len(devices)}, and -1 is what the other leaves."
        )
    return jax.make_mesh(tuple(shape), AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Examples spread over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, PartitionSpec())
