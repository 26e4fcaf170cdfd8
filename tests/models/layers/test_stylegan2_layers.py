"""The layers of StyleGAN2 against the published operations, in float64."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.bias_act import ACTIVATIONS, bias_act
from jaxgen.models.layers.equalized import EqualizedConv, EqualizedDense
from jaxgen.models.layers.minibatch_stddev import minibatch_stddev
from jaxgen.models.layers.modulated import modulated_conv
from jaxgen.models.layers.resample import downsample_conv, plain_conv, upsample_conv


def nhwc(a: np.ndarray) -> jax.Array:
    return jnp.asarray(a.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activations_have_the_published_gains(act, golden, x64):
    """Breaks if a gain, a slope or the order of gain and clamp differs: every layer above would be off by a factor."""
    data = golden("families/gan_bias_act")
    x, b = nhwc(data["x"]), jnp.asarray(data["b"])
    np.testing.assert_allclose(bias_act(x, b, act), nhwc(data[act]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(bias_act(x, b, act, 1.0), nhwc(data[f"{act}_clamp1"]), rtol=1e-9, atol=1e-12)


def test_an_unknown_activation_is_refused():
    """Breaks if a misspelt name ends in a KeyError."""
    with pytest.raises(ValueError, match="lrelu.*got 'leaky'"):
        bias_act(jnp.zeros((1, 1)), act="leaky")


def test_modulated_convolutions_are_the_published_ones(golden, x64, jit):
    """Breaks if scaling activations is not the same as scaling weights, or a resampled style is shifted: published
    generators would draw other images. The published upsampling is a true convolution, ours correlates."""
    data = golden("families/gan_modulated_conv2d")
    x, s, w = nhwc(data["x"]), jnp.asarray(data["s"]), jnp.asarray(data["w"].transpose(2, 3, 1, 0))
    for i, case in enumerate(json.loads(str(data["cfg"]))["cases"]):
        conv = {(1, 1): plain_conv, (2, 1): upsample_conv, (1, 2): downsample_conv}[case["up"], case["down"]]
        kernel = w if case["flip_weight"] else w[::-1, ::-1]
        y = jit(lambda x, w, s, c=conv, d=case["demodulate"]: modulated_conv(x, w, s, c, d))(x, kernel, s)
        y += nhwc(data[f"{i}/noise"]) if f"{i}/noise" in data else 0
        np.testing.assert_allclose(y, nhwc(data[f"{i}/y"]), rtol=1e-9, atol=1e-12, err_msg=str(case))


@pytest.mark.parametrize(("group", "slices"), [(4, 1), (2, 2), (8, 3), (None, 1)])
def test_minibatch_stddev_is_the_published_one(group, slices, golden, x64):
    """Breaks if groups are contiguous instead of strided, or channels are sliced otherwise: a critic with published
    weights would see another statistic."""
    data = golden("families/gan_minibatch_stddev")
    y = minibatch_stddev(nhwc(data["x"]), group, slices)
    np.testing.assert_allclose(y, nhwc(data[f"G{group}_F{slices}"]), rtol=1e-9, atol=1e-12)


def test_minibatch_stddev_of_equal_images_has_a_gradient(x64):
    """Breaks if the root of a variance of zero makes NaN, in the first derivative or the second: a collapsed generator
    would never come back."""
    x = jnp.ones((4, 2, 2, 3))

    def total(x):
        return jnp.sum(minibatch_stddev(x))

    def penalty(x):
        return jnp.sum(jax.grad(total)(x) ** 2)

    assert jnp.isfinite(jax.grad(total)(x)).all() and jnp.isfinite(jax.grad(penalty)(x)).all()


def test_a_group_that_does_not_divide_the_batch_is_refused():
    """Breaks if the last examples fall out of the statistic."""
    with pytest.raises(ValueError, match="groups of 4 divide.*batch of 6"):
        minibatch_stddev(jnp.zeros((6, 2, 2, 3)))


@pytest.mark.parametrize("layer", [EqualizedDense(400, multiplier=0.01), EqualizedConv(400, size=1, act="linear")])
def test_equalized_layers_start_at_unit_variance_and_learn_alike(layer):
    """Breaks if the fan-in is wrong, so that signals grow with depth, or if weights are stored scaled, so that Adam
    moves wide layers relatively faster; a multiplier m makes weights 1/m large, and their steps relatively small."""
    x = jax.random.normal(jax.random.key(0), (400, 1, 1, 300) if isinstance(layer, EqualizedConv) else (400, 300))
    y, variables = layer.init_with_output(jax.random.key(1), x)
    multiplier = getattr(layer, "multiplier", 1.0)
    np.testing.assert_allclose(jnp.std(y), 1.0, rtol=0.02)
    np.testing.assert_allclose(jnp.std(variables["params"]["weight"]) * multiplier, 1.0, rtol=0.02)
