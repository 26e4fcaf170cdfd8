"""The mesh every run lives on: axes 'data' (examples) and 'fsdp' (examples and parameters)."""

from collections.abc import Sequence

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A (data, fsdp) mesh over `devices` (default: all); -1 takes what the other axis leaves."""
    devices = jax.devices() if devices is None else list(devices)
    if data == -1 and len(devices) % fsdp == 0:
        data = len(devices) // fsdp
    if data * fsdp != len(devices):
        raise ValueError(f"a mesh of data={data} x fsdp={fsdp} does not cover {len(devices)} devices.")
    return jax.make_mesh((data, fsdp), AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Examples spread over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, PartitionSpec())
