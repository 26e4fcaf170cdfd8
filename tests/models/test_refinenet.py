"""NCSN and NCSNv2 against the original implementation, and NCSNv2 against the JAX one of Song et al. 2021."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from networks import ACTIVATIONS, assert_published, descending_sigmas, random_variables, shapes

from jaxgen.models import NCSNv1, NCSNv2, ncsnv2_128, ncsnv2_256

NETWORKS = {"ncsnv2_64": NCSNv2, "ncsnv2_128": ncsnv2_128, "ncsnv2_256": ncsnv2_256, "ncsn": NCSNv1}
SIGMAS = (1.0, 0.5, 0.1)
TINY = dict(channels=4, ch_mult=(1, 2), dilations=(1, 1))
LAYERS = {
    "begin_conv": "Conv_0",
    "end_conv": "Conv_1",
    "normalizer": "Norm_0",
    "conv1": "Conv_0",
    "conv2": "Conv_1",
    "conv2.conv": "ConvMeanPool_0/Conv_0",
    "shortcut": "Conv_2",
    "shortcut.conv": "ConvMeanPool_1/Conv_0",
    "normalize1": "Norm_0",
    "normalize2": "Norm_1",
    "crp": "CRPBlock_0",
    "msf": "MSFBlock_0",
}


def network(config: dict, **options) -> NCSNv2 | NCSNv1:
    model = config["model"]
    return NETWORKS[model["name"]](
        channels=model["nf"],
        nonlinearity=ACTIVATIONS[model["nonlinearity"]],
        centered=config["data"]["centered"],
        scale_by_sigma=model["scale_by_sigma"],
        sigmas=descending_sigmas(config),
        **options,
    )


def flax_names(torch_names: list[str]) -> dict[str, str]:
    """Where the parameters of a torch NCSN or NCSNv2 are here."""
    tops = {name.split(".")[0] for name in torch_names}
    levels = [level for level in ("1", "2", "3", "31", "4", "5") if f"res{level}" in tops]
    refinements = [level for level in ("1", "2", "31", "3", "4", "5") if f"refine{level}" in tops]
    conditional = any("embed" in name for name in torch_names)
    norm = "ConditionalInstanceNorm2dPlus" if conditional else "InstanceNorm2dPlus"

    def inner(name: str, inputs: int) -> str:
        kind, _, rest = name.partition(".")
        if kind == "adapt_convs":
            block, _, rest = rest.partition(".")
            return f"RCUBlock_{block}/{inner(rest, inputs)}"
        if kind == "output_convs":
            return f"RCUBlock_{inputs}/{inner(rest, inputs)}"
        if kind in ("crp", "msf"):
            layers, index = rest.split(".")
            return f"{LAYERS[kind]}/{'Conv' if layers == 'convs' else 'Norm'}_{index}"
        block, stage, layer = kind.split("_")
        return f"{layer.capitalize()}_{2 * int(block) + int(stage) - 3}"

    def path(name: str) -> str:
        layer, leaf = name.rsplit(".", 1)
        layer = layer.removesuffix(".embed")
        top, _, rest = layer.partition(".")
        if top.startswith("res"):
            index, _, rest = rest.partition(".")
            where = f"ResidualBlock_{2 * levels.index(top[3:]) + int(index)}/{LAYERS[rest]}"
        elif top.startswith("refine"):
            number = refinements.index(top[6:])
            where = f"RefineBlock_{number}/{inner(rest, 1 if number == 0 else 2)}"
        else:
            where = LAYERS[top]
        if "Norm" in where:
            where = where.replace("Norm", norm) + ("/Embed_0" if conditional else "")
            return f"{where}/{'embedding' if conditional else leaf}"
        return f"{where}/{'kernel' if leaf == 'weight' else leaf}"

    return {name: path(name) for name in torch_names}


@pytest.mark.parametrize("case", ["ncsnv1", "ncsnv2_64", "ncsnv2_128", "ncsnv2_256"])
def test_original_weights_give_the_original_output_and_gradients(case, golden, jit):
    """Another dilation, pooling, variance or interpolation would load the weights into a different network."""
    data = golden(f"net_{case}")
    names = flax_names(data["param_names"].tolist())
    assert_published(jit, network(json.loads(str(data["config"]))), data, names, ties=case != "ncsnv1")


@pytest.mark.parametrize("case, options", [("ncsnv2_64", {"refine_mult": (2, 2, 2, 1)}), ("ncsnv2_128", {})])
def test_weights_of_the_jax_implementation_give_its_output(case, options, golden, jit):
    """It differs from the original in interpolation, variances and a width: its weights need all three."""
    data = golden(f"jaxnet_{case}")
    net = network(json.loads(str(data["config"])), align_corners=False, unbiased=False, **options)
    params = {
        tuple(name.split("/")): np.squeeze(w, (0, 1, 2)) if w.shape[:3] == (1, 1, 1) else w
        for name in data["param_names"].tolist()
        for w in [data[f"param/{name}"].astype(np.float32)]
    }
    x, t = jnp.asarray(data["x"]), jnp.asarray(data["labels"])
    assert shapes(net, x, t) == {path: w.shape for path, w in params.items()}
    with jax.default_matmul_precision("highest"):
        y = jit(net.apply)({"params": unflatten_dict(params)}, x, t)
    np.testing.assert_allclose(y, data["out"], rtol=0, atol=5e-6 * np.abs(data["out"]).max())


@pytest.mark.parametrize("net", [NCSNv1(SIGMAS, **TINY), NCSNv2(sigmas=SIGMAS, **TINY)], ids=["v1", "v2"])
def test_an_example_does_not_depend_on_its_batch_and_its_index_decides(net, jit):
    """The norms are of single images; an output of a wrong level is off by the ratio of the levels."""
    x = jax.random.uniform(jax.random.key(0), (3, 8, 8, 1))
    t = jnp.array([0, 1, 2])
    variables, apply = random_variables(net, x, t), jit(net.apply)
    whole = apply(variables, x, t)
    np.testing.assert_allclose(whole[1:2], apply(variables, x[1:2], t[1:2]), atol=1e-5 * jnp.abs(whole).max())
    other = apply(variables, x, t[::-1])
    assert (jnp.abs(other - whole).max((1, 2, 3))[jnp.array([0, 2])] > 1e-2 * jnp.abs(whole).max()).all()
    if isinstance(net, NCSNv2):
        np.testing.assert_allclose(other[0] * SIGMAS[2], whole[0] * SIGMAS[0], rtol=1e-5, atol=1e-5)


def test_other_norms_and_bfloat16_compute(jit):
    """Compute in bfloat16 must keep float32 parameters and lose no more than its 8 bits; the norm must be the named."""
    x, t = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1)), jnp.array([0, 2])
    nets = [NCSNv2(sigmas=SIGMAS, **TINY, normalization="VarianceNorm", dtype=d) for d in (None, jnp.bfloat16)]
    variables = random_variables(nets[1], x, t)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert not any("InstanceNorm" in "/".join(path) for path in shapes(nets[0], x, t))
    y, rounded = (jit(net.apply)(variables, x, t) for net in nets)
    assert rounded.dtype == jnp.float32
    assert 1e-5 < jnp.abs(rounded - y).max() / jnp.abs(y).max() < 0.1


X, INDEX = jnp.zeros((1, 8, 8, 1)), jnp.zeros(1, int)


@pytest.mark.parametrize(
    "net, inputs, sentence",
    [
        (NCSNv2(sigmas=SIGMAS), (X, jnp.ones(1)), "NCSNv2 is told the index of its noise level .* got float32"),
        (NCSNv1(sigmas=SIGMAS), (X, jnp.ones(1)), "NCSNv1 .* use loss.label=reversed_index with a discretized"),
        (NCSNv2(), (X, INDEX), "pass sigmas, descending; got none"),
        (NCSNv2(sigmas=SIGMAS[::-1]), (X, INDEX), "descending; got 3 from 0.1 to 1"),
        (NCSNv2(sigmas=SIGMAS), (X[:, :7], INDEX), "divisible by 2 for 2 levels"),
        (NCSNv2(sigmas=SIGMAS, dilations=(1, 1)), (X, INDEX), "expected 4 dilations"),
        (NCSNv2(sigmas=SIGMAS, refine_mult=(2, 1)), (X, INDEX), "expected 4 values of refine_mult"),
        (NCSNv2(sigmas=SIGMAS, normalization="BatchNorm"), (X, INDEX), "normalization to be one of"),
        (NCSNv2(sigmas=SIGMAS), (X, INDEX, INDEX), "NCSNv2, which has no classes"),
        (NCSNv1(sigmas=SIGMAS), (X, INDEX, INDEX), "NCSNv1, which has no classes"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(net, inputs, sentence):
    """A continuous time would be cut to index 0, and a wrong order of levels scale the score by their ratio."""
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(net.init, jax.random.key(0), *inputs)
