"""Batch normalization told a class, against BigGAN's; on a mesh; and in bfloat16."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxgen.models.layers.batch_norm import BatchNorm, ConditionalBatchNorm


def test_a_training_and_an_evaluation_pass_are_those_of_biggan(golden, x64):
    """Breaks if gain, bias, epsilon, momentum or the running (unbiased) variance differ: published weights would then
    make other images, and a trained generator other ones in evaluation than in training."""
    data = golden("families/gan_conditional_bn")
    x = jnp.asarray(data["x"].transpose(0, 2, 3, 1))
    params = {
        name: {"kernel": jnp.asarray(data[f"param/{name}.weight"].T), "bias": jnp.asarray(data[f"param/{name}.bias"])}
        for name in ("gain", "bias")
    }
    norm = ConditionalBatchNorm(nn.Dense, train=True)
    start = norm.init(jax.random.key(0), x, jnp.asarray(data["y"]))["batch_stats"]
    y, moved = norm.apply({"params": params, "batch_stats": start}, x, jnp.asarray(data["y"]), mutable=["batch_stats"])
    np.testing.assert_allclose(y, data["out_train"].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-9)
    for name, running in moved["batch_stats"]["Moments_0"].items():
        np.testing.assert_allclose(running, data[f"param/stored_{name}"], rtol=1e-9)
    y = norm.clone(train=False).apply({"params": params, **moved}, x, jnp.asarray(data["y"]))
    np.testing.assert_allclose(y, data["out_eval_after"].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-9)


def test_the_batch_of_a_mesh_is_the_whole_batch(x64):
    """Breaks if eight devices normalize each by its own examples: a run would depend on the number of devices."""
    x = jax.random.normal(jax.random.key(0), (16, 4, 4, 3)) * 3 + 1
    norm = BatchNorm(train=True)
    variables = norm.init(jax.random.key(1), x)
    apply = partial(norm.apply, mutable=["batch_stats"])
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    parts = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    one, eight = apply(variables, x), jax.jit(apply)(variables, parts)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), one, eight)
    np.testing.assert_allclose(jnp.mean(one[0], (0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(jnp.var(one[0], (0, 1, 2)), 1, rtol=1e-4)


def test_moments_of_bfloat16_are_float32():
    """bfloat16 sums stop growing at 256 terms: the mean of a batch would be far off."""
    h = jnp.full((4, 64, 64, 1), 3.0, jnp.bfloat16).at[:, :32].set(1.0)
    norm = BatchNorm(train=True)
    y, moved = norm.apply(norm.init(jax.random.key(0), h), h, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(jnp.unique(y).astype(jnp.float32), [-1.0, 1.0], atol=1e-2)
    np.testing.assert_allclose(moved["batch_stats"]["Moments_0"]["mean"], 0.2, rtol=1e-5)
    assert moved["batch_stats"]["Moments_0"]["var"].dtype == jnp.float32
