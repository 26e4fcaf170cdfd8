"""The convolution of networks that are not trained."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgen.models.layers.frozen_conv import conv_general_dilated

OPTIONS = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height"),
    [
        ((3, 3), 1, "VALID", 5),
        ((3, 3), 2, "VALID", 5),
        ((3, 3), 2, "VALID", 6),
        ((1, 1), 1, "SAME", 5),
    ],
)
def test_values_and_derivatives_are_those_of_the_convolution(size, stride, padding, height, x64):
    """Wrong where the row of zeros stays in the output, or where a row of the image is lost with it."""
    x = jax.random.normal(jax.random.key(0), (2, height, 7, 3))
    w = jax.random.normal(jax.random.key(1), (*size, 3, 4))

    def loss(conv, x, w):
        return jnp.sum(jnp.sin(conv(x, w, (stride, stride), padding, **OPTIONS)))

    ours, plain = (
        jax.value_and_grad(partial(loss, conv), (0, 1))(x, w)
        for conv in (conv_general_dilated, lax.conv_general_dilated)
    )
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12), ours, plain)


def test_an_image_without_a_border_gets_one(monkeypatch):
    """On a CPU there is padding where there was none, and on an accelerator there is not: else its convolutions are
    slow here, or those of other machines changed."""
    x, w = jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 2))

    def padding():
        jaxpr = jax.make_jaxpr(lambda x, w: conv_general_dilated(x, w, (1, 1), "VALID", **OPTIONS))(x, w)
        (conv,) = (e for e in jaxpr.eqns if e.primitive is lax.conv_general_dilated_p)
        return conv.params["padding"]

    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert padding() == ((0, 1), (0, 0))
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert padding() == ((0, 0), (0, 0))
