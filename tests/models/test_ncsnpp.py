"""NCSN++ and DDPM++ against the published implementation: numbers and parameter trees."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import assert_published, configured, random_variables

from jaxgen.models import NCSNpp

NAMES = json.loads((Path(__file__).parents[1] / "golden" / "ncsnpp_names.json").read_text())
OPTIONS = (
    "ch_mult num_res_blocks attn_resolutions dropout resamp_with_conv conditional fir fir_kernel skip_rescale "
    "resblock_type progressive progressive_input progressive_combine embedding_type fourier_scale init_scale "
    "scale_by_sigma"
).split()
TINY = dict(channels=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), scale_by_sigma=False)
INDEXED = dict(embedding_type="positional", scale_by_sigma=True)


@pytest.mark.parametrize("case", NAMES)
def test_published_weights_give_the_published_output_and_gradients(case, golden, jit):
    """A wrong option, name, padding or scale would make published checkpoints load into a different network."""
    data = golden(f"net_{case}")
    assert_published(jit, configured(NCSNpp, json.loads(str(data["config"])), OPTIONS), data, NAMES[case])


def test_bfloat16_compute_keeps_float32_parameters_and_agrees_with_float32(jit):
    """Compute in bfloat16 must lose no more than its 8 bits, and must not train bfloat16 parameters."""
    x = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
    t = jnp.array([0.1, 3.0])
    exact, half = (NCSNpp(**TINY, dtype=dtype) for dtype in (None, jnp.bfloat16))
    variables = random_variables(half, x, t)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    y, rounded = jit(exact.apply)(variables, x, t), jit(half.apply)(variables, x, t)
    assert rounded.dtype == jnp.float32
    error = jnp.abs(rounded - y).max() / jnp.abs(y).max()
    assert 1e-5 < error < 0.05


def test_class_moves_the_output_and_no_class_is_the_null_class(jit):
    """Classifier-free guidance subtracts the two: equal outputs would switch it off silently."""
    x, t = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3)), jnp.ones(2)
    net = NCSNpp(**TINY, num_classes=10)
    variables = random_variables(net, x, t)
    apply = jit(net.apply)
    null, none = apply(variables, x, t, jnp.array([10, 10])), apply(variables, x, t)
    given = apply(variables, x, t, jnp.array([3, 10]))
    np.testing.assert_allclose(null, none, rtol=1e-5, atol=1e-5)
    assert jnp.abs(given - null)[0].max() > 1e-3
    np.testing.assert_allclose(given[1], null[1], atol=1e-6)


@pytest.mark.parametrize(
    "options, t, sentence",
    [
        ({"ch_mult": (1, 2, 2, 2)}, 1.0, "divisible by 8"),
        ({"resblock_type": "resnet"}, 1.0, "resblock_type to be one of"),
        (INDEXED, 1, "pass sigmas, descending; got none"),
        (INDEXED | {"sigmas": (0.01, 50.0)}, 1, "descending; got 2 from 0.01 to 50"),
        (
            INDEXED | {"sigmas": (50.0, 0.01)},
            0.5,
            "index of its noise level .* got float32: use loss.label",
        ),
        ({}, 1, "noise level .float., got int32: use loss.label=noise_level"),
    ],
)
def test_impossible_networks_are_refused_in_one_sentence(options, t, sentence):
    """Otherwise the mistake ends in a shape error deep inside the network, or in a wrong scale."""
    x = jnp.zeros((1, 12, 12, 3))
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(NCSNpp(**(TINY | options)).init, jax.random.key(0), x, jnp.full(1, t))
