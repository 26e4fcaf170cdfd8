"""The U-Net of DDPM against the published implementation."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import assert_published, configured, random_variables

from jaxgen.models import DDPM

NAMES = json.loads((Path(__file__).parents[1] / "golden" / "ddpm_names.json").read_text())
OPTIONS = "ch_mult num_res_blocks attn_resolutions dropout resamp_with_conv conditional scale_by_sigma".split()
TINY = dict(channels=32, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(4,))


@pytest.mark.parametrize("case", NAMES)
def test_published_weights_give_the_published_output_and_gradients(case, golden, jit):
    """A wrong number of groups, name, padding or scale would load published checkpoints into a different network."""
    data = golden(f"net_{case}")
    assert_published(jit, configured(DDPM, json.loads(str(data["config"])), OPTIONS), data, NAMES[case])


def test_an_example_does_not_depend_on_its_batch_and_is_told_time_and_class(jit):
    """With dropout on, any split of the batch must give the same numbers; a deaf network trains to the average."""
    net = DDPM(**(TINY | {"channels": 64}), dropout=0.5, num_classes=3)
    x, t = jax.random.normal(jax.random.key(0), (4, 8, 8, 1)), jnp.array([1.0, 300.0, 600.0, 999.0])
    cond, keys = jnp.array([0, 1, 2, 3]), jax.random.split(jax.random.key(1), 4)
    variables, apply = random_variables(net, x, t), jit(net.apply)
    whole = apply(variables, x, t, cond, keys)
    scale = jnp.abs(whole).max()
    parts = [apply(variables, x[i:j], t[i:j], cond[i:j], keys[i:j]) for i, j in ((0, 2), (2, 4))]
    np.testing.assert_allclose(whole, jnp.concatenate(parts), atol=1e-5 * scale)
    for other in ((x, t, cond, keys[::-1]), (x, t[::-1], cond, keys), (x, t, jnp.array([1, 2, 3, 0]), keys)):
        assert jnp.abs(apply(variables, *other) - whole).max((1, 2, 3)).min() > 1e-3 * scale


def test_bfloat16_compute_keeps_float32_parameters_and_agrees_with_float32(jit):
    """Compute in bfloat16 must lose no more than its 8 bits, and must not train bfloat16 parameters."""
    x, t = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.array([1.0, 300.0])
    exact, half = (DDPM(**TINY, dtype=dtype) for dtype in (None, jnp.bfloat16))
    variables = random_variables(half, x, t)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    y, rounded = jit(exact.apply)(variables, x, t), jit(half.apply)(variables, x, t)
    assert rounded.dtype == jnp.float32
    assert 1e-5 < jnp.abs(rounded - y).max() / jnp.abs(y).max() < 0.1


X = jnp.zeros((1, 8, 8, 1))


@pytest.mark.parametrize(
    "options, inputs, sentence",
    [
        ({"scale_by_sigma": True}, (X, jnp.zeros(1, int)), "pass sigmas, descending; got none"),
        ({"scale_by_sigma": True, "sigmas": (2.0, 1.0)}, (X, jnp.ones(1)), "DDPM is told the index of its noise level"),
        ({"channels": 16}, (X, jnp.ones(1)), "32 groups divide, got 16"),
        ({}, (X, jnp.ones(1), jnp.zeros(1, int)), "network without classes"),
        ({}, (X[:, :7], jnp.ones(1)), "divisible by 2 for 2 levels"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(options, inputs, sentence):
    """Otherwise a discrete network would be trained on continuous times, or fail deep inside."""
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(DDPM(**(TINY | options)).init, jax.random.key(0), *inputs)
