"""Meshes and the one sharding rule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxgen.parallel.mesh import batch_sharding, make_mesh
from jaxgen.parallel.sharding import SMALLEST_SHARDED, leaf_sharding, shard_batch, state_sharding


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


def leaf(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


RULES = (("Norm_.*/scale", None), ("Conv_0/kernel", 2), ("head", None), ("bias", 0))


def test_the_first_rule_that_is_found_decides():
    """A rule overrides the largest dimension and the least size; other leaves keep them. It holds for a parameter, its
    moments and its average alike: else an update would move whole arrays between devices at every step."""
    mesh, params = make_mesh(fsdp=8), {"Conv_0": {"kernel": leaf(3, 3, 64, 128), "bias": leaf(16)}}
    params |= {"Conv_1": {"kernel": leaf(3, 3, 64, 128)}, "Norm_0": {"scale": leaf(8192)}, "head": {"bias": leaf(8)}}
    state = {"params": params, "opt": optax.adam(1.0).init(jax.tree.map(lambda x: jnp.zeros(x.shape), params))}
    shardings = state_sharding(mesh, state | {"ema": params}, RULES)
    want = {
        "Conv_0": {"kernel": PartitionSpec(None, None, "fsdp"), "bias": PartitionSpec("fsdp")},
        "Conv_1": {"kernel": PartitionSpec(None, None, None, "fsdp")},
        "Norm_0": {"scale": PartitionSpec()},
        "head": {"bias": PartitionSpec()},
    }
    for tree in (shardings["params"], shardings["ema"], shardings["opt"][0].mu, shardings["opt"][0].nu):
        assert jax.tree.map(lambda sharding: sharding.spec, tree) == want
    assert shardings["opt"][0].count.spec == PartitionSpec()
    replicas = jax.tree.leaves(state_sharding(make_mesh(), state, RULES))
    assert all(sharding.is_fully_replicated for sharding in replicas)  # no fsdp axis: nothing to shard over


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((("Conv_0", 3),), r"dimension 3 of params/Conv_0/kernel, whose shape is \(6, 4096\), over 8 devices"),
        ((("kernel", 0),), r"dimension 0 of params/Conv_0/kernel"),
        ((("Conv_(", 0),), r"hold pairs .* got \('Conv_\(', 0\)"),
        ((("Conv_0", "1"),), "hold pairs"),
        ((("Conv_0", -1),), "hold pairs"),
        (("kernel",), "hold pairs"),
        (("Conv_0", 1), "hold pairs"),  # a pair where a list of pairs belongs
    ],
)
def test_rules_that_cannot_be_followed_are_refused(rules, words):
    """Each by name, before anything is compiled."""
    with pytest.raises(ValueError, match=words):
        state_sharding(make_mesh(fsdp=8), {"params": {"Conv_0": {"kernel": leaf(6, 4096)}}}, rules)


@pytest.mark.parametrize(("axes", "shape"), [((-1, 4), (2, 4)), ((2, -1), (2, 4)), ((8, -1), (8, 1)), ((4, 2), (4, 2))])
def test_minus_one_is_what_the_other_axis_leaves(axes, shape):
    assert tuple(make_mesh(*axes).shape.values()) == shape


@pytest.mark.parametrize("axes", [(-1, -1), (0, -1), (-1, 0), (-8, -1), (-2, -4), (16, 1), (-1, 16)])
def test_meshes_that_do_not_cover_the_devices_are_refused(axes):
    """Products of negative numbers are positive, and a quotient of zero covers nothing."""
    with pytest.raises(ValueError, match="does not cover 8 devices"):
        make_mesh(*axes)
