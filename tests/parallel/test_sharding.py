"""Meshes and the one sharding rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxgen.parallel.mesh import batch_sharding, make_mesh
from jaxgen.parallel.sharding import SMALLEST_SHARDED, leaf_sharding, shard_batch


def test_mesh_axes_are_auto_and_cover_the_devices():
    """`jax.make_mesh` defaults to explicit axes, under which user code would have to name shardings."""
    mesh = make_mesh(fsdp=4)
    assert dict(mesh.shape) == {"data": 2, "fsdp": 4} and mesh.axis_types == (AxisType.Auto,) * 2
    assert dict(make_mesh(devices=jax.devices()[:2]).shape) == {"data": 2, "fsdp": 1}
    with pytest.raises(ValueError, match="does not cover 8 devices"):
        make_mesh(data=3, fsdp=2)
    with pytest.raises(ValueError, match="does not cover 8 devices"):
        make_mesh(fsdp=3)


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((64, 128), PartitionSpec(None, "fsdp")),  # the largest dimension
        ((3, 3, 64, 65), PartitionSpec(None, None, "fsdp")),  # the largest that divides
        ((8192,), PartitionSpec("fsdp")),
        ((63, 65), PartitionSpec()),  # nothing divides
        ((8, 8), PartitionSpec()),  # too small to be worth it
        ((), PartitionSpec()),
    ],
)
def test_leaves_are_sharded_by_their_largest_divisible_dimension(shape, spec):
    """Parameters that silently stay whole on every device, or that no device can hold evenly."""
    mesh = make_mesh(fsdp=8)
    assert leaf_sharding(mesh, jax.ShapeDtypeStruct(shape, jnp.float32)).spec == spec
    assert leaf_sharding(make_mesh(), jax.ShapeDtypeStruct(shape, jnp.float32)).spec == PartitionSpec()
    assert SMALLEST_SHARDED <= 64 * 128


def test_batches_are_spread_over_every_device():
    """Each device must hold its own eighth of the examples, in order, on both axes of the mesh."""
    mesh = make_mesh(fsdp=4)
    batch = shard_batch(mesh, {"x": np.arange(32.0).reshape(16, 2)})
    assert batch["x"].sharding == batch_sharding(mesh)
    starts = sorted(float(shard.data[0, 0]) for shard in batch["x"].addressable_shards)
    assert starts == [4.0 * i for i in range(8)]
