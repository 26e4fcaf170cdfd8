"""If these fail, an FD-DINOv2 is of other features than those of the published figures."""

import jax
import numpy as np
import pytest
from conftest import GOLDEN

from jaxgen.io.weights import open_weights
from jaxgen.models.recognition.dinov2 import DEVIATION, MEAN, dinov2, offset, variables, whole

HEADS = 4  # of the small networks, which have no published size
KINDS = ["dinov2_tiny", "dinov2_tiny_swiglu"]


def weights(kind):
    return open_weights(GOLDEN / "metrics" / f"{kind}.safetensors").state


def renamed(state, *pairs):
    found = {}
    for name, array in state.items():
        for old, new in pairs:
            name = name.replace(old, new)
        found[name] = array
    return found


def fused(state, parts, whole):
    """With the arrays of `parts` joined as `whole`, in every block."""
    state = dict(state)
    for name in [name for name in state if parts[0] in name]:
        state[name.replace(parts[0], whole)] = np.concatenate(
            [state.pop(name.replace(parts[0], part)) for part in parts]
        )
    return state


def old_layout(state):
    """As transformers had it when the weights were published."""
    state = fused(state, ("gate_proj", "up_proj"), "weights_in")
    return renamed(
        state,
        *(
            (f"attention.{new}_proj", f"attention.attention.{old}")
            for new, old in zip("qkv", ("query", "key", "value"), strict=True)
        ),
        ("attention.o_proj", "attention.output.dense"),
        ("down_proj", "weights_out"),
    )


def meta(state):
    """As Meta publishes them."""
    state = fused(
        fused(state, ("attention.q_proj", "attention.k_proj", "attention.v_proj"), "attn.qkv"),
        ("gate_proj", "up_proj"),
        "w12",
    )
    return renamed(
        state,
        ("attention.o_proj", "attn.proj"),
        ("down_proj", "w3"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("encoder.layer.", "blocks."),
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.", ""),
        ("layernorm.", "norm."),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_match_the_reference(golden, jit, kind):
    """Both feedforwards, at the table's own size and between places on a rectangle: shows a gain that is lost, gate and
    value swapped, rows taken for columns."""
    data, state = golden(f"metrics/{kind}"), weights(kind)
    run, params = jit(dinov2(state, HEADS, whole).apply), variables(state)
    for images in ("native56", "interp70x98"):
        x = (data[f"{images}/images"].astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)
        expected = data[f"{images}/last_hidden_state"]
        found = run(params, x)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(
            found[:, 0], data[f"{images}/cls_pooled"], rtol=0, atol=1e-5 * np.abs(expected).max()
        )


@pytest.mark.parametrize(("spread", "key"), [(offset, "hub_scale_offset0.1"), (whole, "hf_size")])
def test_both_rules_spread_the_table_of_places_as_published(golden, jit, spread, key):
    """The two differ by half the values' scale, and any cubic with a = -1/2 or antialiasing from both."""
    data = golden("metrics/resize")
    expected = data[f"dinov2/to16x16_{key}"]
    found = jit(spread, static_argnums=(1, 2))(data["dinov2/pos_37x37"], 16, 16)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [old_layout, meta])
def test_published_layouts_give_the_same_network(kind, layout):
    """The weights have been published under three sets of names."""
    state = weights(kind)
    assert dinov2(layout(state), HEADS) == dinov2(state, HEADS)
    np.testing.assert_equal(variables(layout(state)), variables(state))


def test_other_networks_are_refused():
    """DINO of 2021 has the same names but no gains; networks with registers have other tokens."""
    state = weights("dinov2_tiny")
    with pytest.raises(
        ValueError, match="DINOv2 without registers .*, where block0.gain1 has 1 axes, but it is missing"
    ):
        variables({name: array for name, array in meta(state).items() if ".ls" not in name})
    with pytest.raises(ValueError, match="it has no register_tokens"):
        variables(meta(state) | {"register_tokens": np.zeros((1, 4, 32), np.float32)})
    with pytest.raises(ValueError, match=r"sides that are multiples of 14, got \(60, 56\)"):
        jax.eval_shape(dinov2(state, HEADS).apply, variables(state), np.zeros((1, 60, 56, 3)))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("patch_embeddings.projection.weight", (32, 3, 0, 0), r"has shape \(32, 3, 0, 0\), and is empty"),
        ("layer.0.mlp.fc1.weight", (0, 32), r"has shape \(0, 32\), and is empty"),
        ("position_embeddings", (1, 1, 32), "one token and of a square of patches, got 1: take its file"),
        ("position_embeddings", (1, 7, 32), "one token and of a square of patches, got 7: take its file"),
    ],
)
def test_sizes_that_no_network_has_are_refused(name, shape, message):
    """Breaks if such a file ends in a division by zero, here or when the first image comes."""
    state = weights("dinov2_tiny")
    (whole,) = (key for key in state if key.endswith(name))
    with pytest.raises(ValueError, match=message):
        variables(state | {whole: np.zeros(shape, np.float32)})


def test_depths_that_no_network_has_are_refused():
    """Breaks if the depth, which costs a file no more than names, decides alone how long a network takes to build."""
    state = weights("dinov2_tiny")
    layer = {name: array for name, array in state.items() if "layer.0." in name}
    many = {name.replace("layer.0.", f"layer.{i}."): array for i in range(65) for name, array in layer.items()}
    with pytest.raises(ValueError, match="of at most 64 blocks, got 65: take its file"):
        dinov2(state | many, HEADS)
