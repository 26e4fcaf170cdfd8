"""The weight between reconstruction and adversary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.adaptive import adaptive
from jaxgen.losses.algebra import Aux

W = ("decoder", "params", "kernel")
PARAMS = {"decoder": {"params": {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array(3.0)}}}
BATCH = {"x": jnp.array([[1.0, 2.0], [3.0, -1.0]])}
KEYS = jax.random.split(jax.random.key(0), 2)


def linear(gain):
    def loss(params, batch, keys):
        own = params["decoder"]["params"]
        return gain * (batch["x"] @ own["kernel"] + own["bias"]), Aux()

    return loss


def test_both_gradients_have_the_same_norm_at_the_layer():
    """Breaks if the weight is not the ratio of the norms at that layer, if it is not capped, or if it is itself
    differentiated."""
    loss = adaptive(W, linear(6.0), linear(2.0))
    value, aux = loss(PARAMS, BATCH, KEYS)
    norm = 2 * np.linalg.norm(np.mean(BATCH["x"], 0))
    np.testing.assert_allclose(aux.metrics["adaptive_weight"], 3 * norm / (norm + 1e-4), rtol=1e-6)
    np.testing.assert_allclose(value, aux.metrics["adaptive_weight"] * linear(2.0)(PARAMS, BATCH, KEYS)[0])
    gradient = jax.grad(lambda p: loss(p, BATCH, KEYS)[0].mean())(PARAMS)["decoder"]["params"]
    np.testing.assert_allclose(gradient["kernel"], 6 * np.mean(BATCH["x"], 0), rtol=1e-4)
    assert adaptive(W, linear(1e12), linear(1e-3))(PARAMS, BATCH, KEYS)[1].metrics["adaptive_weight"][0] == 1e4


def test_a_layer_that_is_not_there_is_named():
    """Breaks if a misspelt layer ends in a KeyError."""
    with pytest.raises(ValueError, match="no layer decoder/params/conv_out: decoder/params has kernel, bias"):
        adaptive(("decoder", "params", "conv_out"), linear(1.0), linear(1.0))(PARAMS, BATCH, KEYS)
