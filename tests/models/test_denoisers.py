"""What UNet and MLP promise to losses and samplers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models import MLP, UNet, bind

NETWORKS = {
    "unet": (
        UNet(channels=8, blocks=1, heads=2, dropout=0.5, num_classes=3, fourier_features=(0, 1)),
        (8, 8, 1),
    ),
    "mlp_image": (MLP(width=32, blocks=2, dropout=0.5, num_classes=3, embedding="fourier"), (4, 4, 2)),
    "mlp_point": (MLP(width=32, blocks=2, dropout=0.5, num_classes=3), (2,)),
}


@pytest.fixture(params=NETWORKS, scope="module")
def case(request, jit):
    net, shape = NETWORKS[request.param]
    x = jax.random.normal(jax.random.key(0), (4, *shape))
    t = jnp.linspace(0.1, 1.0, 4)
    variables = jit(net.init)(jax.random.key(1), x, t)
    return net, variables, x, t


def perturbed(variables):
    """Away from the zero initialization, where every output is zero."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape, np.float32), variables)


def test_output_is_zero_at_initialization(case, jit):
    """Training starts from the best constant guess of the preconditioned target; a random output starts worse."""
    net, variables, x, t = case
    np.testing.assert_array_equal(jit(net.apply)(variables, x, t), jnp.zeros(x.shape))


def test_an_example_does_not_depend_on_its_batch(case, jit):
    """With dropout on, one device and any split of the batch must give the same numbers."""
    net, variables, x, t = case
    variables, keys, cond = (
        perturbed(variables),
        jax.random.split(jax.random.key(3), 4),
        jnp.array([0, 1, 2, 3]),
    )
    apply = jit(net.apply)
    whole = apply(variables, x, t, cond, keys)
    parts = [apply(variables, x[i:j], t[i:j], cond[i:j], keys[i:j]) for i, j in ((0, 2), (2, 4))]
    np.testing.assert_allclose(whole, jnp.concatenate(parts), atol=1e-5 * jnp.abs(whole).max())
    assert jnp.abs(whole - apply(variables, x, t, cond, keys[::-1])).max() > 1e-3


def test_time_and_class_move_the_output_and_no_class_is_the_null_class(case, jit):
    """A network deaf to its conditions still trains, to the average over them."""
    net, variables, x, t = case
    variables, apply = perturbed(variables), jit(net.apply)
    null = apply(variables, x, t, jnp.full(4, 3))
    np.testing.assert_array_equal(null, apply(variables, x, t))
    for other in (apply(variables, x, t, jnp.array([0, 1, 2, 0])), apply(variables, x, t + 0.5)):
        assert jnp.abs(other - null).max((*range(1, x.ndim),)).min() > 1e-3


def test_bfloat16_compute_keeps_float32_parameters_and_agrees_with_float32(case, jit):
    """Compute in bfloat16 must lose no more than its 8 bits, and must not train bfloat16 parameters."""
    net, variables, x, t = case
    variables, half = perturbed(variables), net.clone(dtype=jnp.bfloat16)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(half.init, jax.random.key(0), x, t))}
    assert dtypes == {jnp.dtype("float32")}
    y, rounded = jit(net.apply)(variables, x, t), jit(half.apply)(variables, x, t)
    assert rounded.dtype == jnp.float32
    assert 1e-5 < jnp.abs(rounded - y).max() / jnp.abs(y).max() < 0.1


@pytest.mark.parametrize("net, count", [(UNet(num_classes=10), 843_809), (MLP(num_classes=10), 3_359_552)])
def test_default_networks_have_the_stated_size(net, count):
    """The documented settings for 8x8 digits name these sizes."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)), jnp.ones(1))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == count


def test_sizes_that_cannot_be_halved_are_refused():
    """7x7 images with two levels would fail where the skip connections meet."""
    with pytest.raises(ValueError, match="divisible by 2 for 2 levels"):
        jax.eval_shape(UNet().init, jax.random.key(0), jnp.zeros((1, 7, 7, 1)), jnp.ones(1))


def test_bind_reads_its_own_network_and_names_a_missing_one(jit):
    """Losses of several players pick their network out of one dictionary by name."""
    net, x, t = MLP(width=8, blocks=1), jnp.ones((2, 3)), jnp.ones(2)
    zero = jit(net.init)(jax.random.key(0), x, t)
    params = {"net": zero, "other": perturbed(zero)}
    np.testing.assert_array_equal(bind(net)(params, x, t), jnp.zeros((2, 3)))
    np.testing.assert_array_equal(bind(net, "other")(params, x, t), net.apply(params["other"], x, t))
    with pytest.raises(ValueError, match="expected a network 'critic'"):
        bind(net, "critic")(params, x, t)
