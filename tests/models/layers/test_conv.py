"""The convolution whose weight gradient is a sum over parts of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgen.models.layers.conv import CACHED, Conv, in_parts, parts

OPTIONS = {"padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}


def plain(x, w):
    return lax.conv_general_dilated(x, w, (2, 2), **OPTIONS)


@pytest.mark.parametrize("count", [2, 4])
def test_derivatives_are_those_of_the_convolution(count, x64):
    """Reverse, forward and second derivatives, by the image, by the weights and by both."""
    keys = jax.random.split(jax.random.key(0), 5)
    x, dx = (jax.random.normal(k, (8, 6, 6, 3)) for k in keys[:2])
    w, dw = (jax.random.normal(k, (3, 3, 3, 5)) for k in keys[2:4])
    conv = in_parts(count, (2, 2), **OPTIONS)

    def loss(f):
        return lambda x, w: jnp.sum(jnp.sin(f(x, w)))

    for of in (0, 1, (0, 1)):
        for got, want in zip(
            jax.tree.leaves(jax.grad(loss(conv), of)(x, w)),
            jax.tree.leaves(jax.grad(loss(plain), of)(x, w)),
            strict=True,
        ):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jax.jvp(conv, (x, w), (dx, dw))[1], jax.jvp(plain, (x, w), (dx, dw))[1], rtol=1e-10)

    def penalty(f):
        return lambda w: jnp.sum(jnp.square(jax.grad(loss(f))(x, w)))

    np.testing.assert_allclose(jax.grad(penalty(conv))(w), jax.grad(penalty(plain))(w), rtol=1e-9, atol=1e-10)


def test_the_image_gradient_alone_costs_no_weight_gradient():
    """A likelihood pushes derivatives of the image only: no part of the batch is convolved for the weights."""
    x, w = jnp.ones((8, 6, 6, 3)), jnp.ones((3, 3, 3, 5))
    conv = in_parts(4, (1, 1), **OPTIONS)
    program = str(jax.make_jaxpr(lambda x: jax.jvp(lambda x: conv(x, w), (x,), (x,))[1])(x))
    assert program.count("conv_general_dilated[") == 2


def test_parts_fit_the_cache():
    """Parts divide the batch, none is larger than needed, and small inputs stay whole."""
    assert parts((128, 8, 8, 32)) == 1
    assert 64 * 28 * 28 * 32 / parts((64, 28, 28, 32)) > CACHED / 2
    assert 64 * 28 * 28 * 64 / parts((64, 28, 28, 64)) <= CACHED
    assert parts((3, 256, 256, 64)) == 1  # nothing to split evenly


def test_conv_takes_the_names_of_flax():
    """Checkpoints hold Conv_0/kernel: another class name would orphan them."""
    module = Conv(4, (3, 3))
    assert type(module).__name__ == "Conv"
