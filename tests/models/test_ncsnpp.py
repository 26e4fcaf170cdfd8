"""NCSN++ and DDPM++ against the published implementation: numbers, parameter trees and parameter counts."""

import json
import math
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.models import NCSNpp

NAMES = json.loads((Path(__file__).parents[1] / "golden" / "ncsnpp_names.json").read_text())
ACTIVATIONS = {
    "swish": nn.silu,
    "elu": nn.elu,
    "relu": nn.relu,
    "lrelu": partial(nn.leaky_relu, negative_slope=0.2),
}
OPTIONS = (
    "ch_mult num_res_blocks attn_resolutions dropout resamp_with_conv conditional fir fir_kernel skip_rescale "
    "resblock_type progressive progressive_input progressive_combine embedding_type fourier_scale init_scale "
    "scale_by_sigma"
).split()
DDPMPP = dict(fir=False, progressive_input="none", embedding_type="positional", scale_by_sigma=False, centered=True)
TINY = dict(channels=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), scale_by_sigma=False)


def network(config: dict) -> NCSNpp:
    model = config["model"]
    options = {name: tuple(v) if isinstance(v := model[name], list) else v for name in OPTIONS}
    sigmas = np.exp(np.linspace(np.log(model["sigma_max"]), np.log(model["sigma_min"]), model["num_scales"]))
    return NCSNpp(
        channels=model["nf"],
        nonlinearity=ACTIVATIONS[model["nonlinearity"]],
        centered=config["data"]["centered"],
        sigmas=tuple(sigmas),
        **options,
    )


def published_parameters(data: dict, names: dict[str, str]) -> dict[tuple[str, ...], np.ndarray]:
    params = {}
    for torch_name, path in names.items():
        w = data[f"param/{torch_name}"].astype(np.float32)
        if w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
        elif path.endswith("kernel"):
            w = w.T
        params[tuple(path.split("/"))] = w
    return params


def random_variables(net: NCSNpp, *inputs: jax.Array) -> dict:
    """Variables of the right shapes and dtypes, without the compilation of the initializers."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: (0.2 * rng.standard_normal(leaf.shape)).astype(leaf.dtype), shapes)


@pytest.mark.parametrize("case", NAMES)
def test_published_weights_give_the_published_output_and_gradients(case, golden, jit):
    """A wrong option, name, padding or scale would make published checkpoints load into a different network."""
    data = golden(f"net_{case}")
    net = network(json.loads(str(data["config"])))
    x, t = jnp.asarray(data["x"], jnp.float32), jnp.asarray(data["labels"])
    params = published_parameters(data, NAMES[case])
    expected = flatten_dict(jax.eval_shape(net.init, jax.random.key(0), x, t)["params"])
    assert {k: v.shape for k, v in expected.items()} == {k: v.shape for k, v in params.items()}

    def scalar(params, x):
        y = net.apply({"params": params}, x, t)
        return jnp.mean(y * data["cotangent"].astype(np.float32)), y

    with jax.default_matmul_precision("highest"):
        gradient = jax.value_and_grad(scalar, (0, 1), has_aux=True)
        (_, y), (grads, grad_x) = jit(gradient)(unflatten_dict(params), x)

    np.testing.assert_allclose(y, data["out64"], rtol=0, atol=5e-6 * np.abs(data["out64"]).max())
    np.testing.assert_allclose(grad_x, data["grad_x"], rtol=0, atol=2e-5 * np.abs(data["grad_x"]).max())
    norms = dict(zip(data["param_names"].tolist(), data["grad_norms"], strict=True))
    want = np.array([norms[name] for name in NAMES[case]])
    grads = flatten_dict(grads)
    got = np.array([np.linalg.norm(grads[tuple(path.split("/"))]) for path in NAMES[case].values()])
    frozen = np.isnan(want)
    assert not got[frozen].any(), "a gradient reached the frozen Fourier frequencies"
    np.testing.assert_allclose(got[~frozen], want[~frozen], rtol=1e-4, atol=1e-7 * np.nanmax(want))


@pytest.mark.parametrize(
    "options, published",
    [
        (DDPMPP, 61_804_419),
        (DDPMPP | {"num_res_blocks": 8}, 106_632_579),
        ({"embedding_type": "positional", "sigmas": (1.0,)}, 62_693_251),
        ({}, 62_758_915),
        ({"num_res_blocks": 8}, 107_587_075),
    ],
    ids=["ddpmpp", "ddpmpp_deep", "ncsnpp_discrete", "ncsnpp", "ncsnpp_deep"],
)
def test_cifar10_networks_have_the_published_parameter_counts(options, published):
    """The defaults are the paper's CIFAR-10 networks; a missing or extra layer changes the count."""
    x, t = jnp.zeros((1, 32, 32, 3)), jnp.ones(1)
    shapes = jax.eval_shape(NCSNpp(**options).init, jax.random.key(0), x, t)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == published


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
    "options, sentence",
    [
        ({"ch_mult": (1, 2, 2, 2)}, "divisible by 8"),
        ({"resblock_type": "resnet"}, "resblock_type to be one of"),
        ({"embedding_type": "positional", "scale_by_sigma": True}, "pass sigmas"),
    ],
)
def test_impossible_networks_are_refused_in_one_sentence(options, sentence):
    """Otherwise the mistake ends in a shape error deep inside the network, or in a wrong scale."""
    x = jnp.zeros((1, 12, 12, 3))
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(NCSNpp(**(TINY | options)).init, jax.random.key(0), x, jnp.ones(1))
