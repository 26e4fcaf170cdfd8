"""If these fail, images or texts lie elsewhere in CLIP's space than in every published figure."""

import re

import jax
import numpy as np
import pytest
from conftest import GOLDEN

from jaxgen.io.weights import open_weights
from jaxgen.models.layers.causal_attention import gelu
from jaxgen.models.recognition import clip as vision
from jaxgen.models.text import clip as text

HEADS = 4  # of the small network, which has no published size


@pytest.fixture(scope="module")
def state():
    return open_weights(GOLDEN / "metrics" / "clip_tiny.safetensors").state


def openai(state):
    """The same weights under OpenAI's names: one array for query, key and value, projections on the right."""
    state, found = dict(state), {"input_resolution": np.array(32), "context_length": np.array(16)}
    for side, prefix in (("vision_model", "visual."), ("text_model", "")):
        for i in range(3 if prefix else 2):
            old, new = f"{side}.encoder.layers.{i}.", f"{prefix}transformer.resblocks.{i}."
            for leaf in ("weight", "bias"):
                fused = [state.pop(f"{old}self_attn.{part}_proj.{leaf}") for part in "qkv"]
                found[f"{new}attn.in_proj_{leaf}"] = np.concatenate(fused)
                for ours, theirs in (
                    ("self_attn.out_proj", "attn.out_proj"),
                    ("layer_norm1", "ln_1"),
                    ("layer_norm2", "ln_2"),
                    ("mlp.fc1", "mlp.c_fc"),
                    ("mlp.fc2", "mlp.c_proj"),
                ):
                    found[f"{new}{theirs}.{leaf}"] = state.pop(f"{old}{ours}.{leaf}")
    found["visual.proj"] = state.pop("visual_projection.weight").T
    found["text_projection"] = state.pop("text_projection.weight").T
    rest = (
        ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
        ("vision_model.embeddings.patch_embedding", "visual.conv1"),
        ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
        ("text_model.embeddings.token_embedding", "token_embedding"),
        ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
        ("text_model.final_layer_norm", "ln_final"),
    )
    for name, array in state.items():
        new = name
        for old, theirs in rest:
            new = re.sub(f"^{re.escape(old)}", theirs, new)
        found[new] = array
    found["transformer.resblocks.0.attn_mask"] = np.zeros((16, 16), np.float32)
    return found


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_images_are_seen_as_the_reference_sees_them(golden, jit, state):
    """Shows a wrong activation, epsilon, norm, order of the patches or of the tokens."""
    data = golden("metrics/clip_tiny")
    x = (data["images"].astype(np.float32) / 255 - np.float32(vision.MEAN)) / np.float32(vision.DEVIATION)
    tower, params = vision.vision_tower(state, HEADS), vision.variables(state)
    seen = jit(tower.apply)(params, x)
    close(seen.tokens, data["vision_last_hidden"])
    close(seen.embeds, data["vision_pooled"])
    close(seen.embeds / np.linalg.norm(seen.embeds, axis=1, keepdims=True), data["image_embeds"])
    with pytest.raises(ValueError, match=r"expected images \(32, 32, 3\), got \(32, 40, 3\)"):
        jax.eval_shape(tower.apply, params, np.zeros((1, 32, 40, 3)))


def test_texts_are_read_as_the_reference_reads_them(golden, jit, state):
    """Shows a position that sees a later one, and another rule for the end of a text: the padding here is the end
    token too, so that the last one would be wrong."""
    data = golden("metrics/clip_tiny")
    ids = data["input_ids"].astype(np.int32)
    read = jit(text.text_tower(state, HEADS).apply)(text.variables(state), ids)
    close(read.last, data["text_last_hidden"])
    close(read.embeds, data["text_pooled"])
    assert len(read.states) == 3


def test_an_end_token_below_others_needs_to_be_named(golden, jit, state):
    """Vocabularies with words added after the end token have no greatest id to go by."""
    ids = golden("metrics/clip_tiny")["input_ids"].astype(np.int32)
    shifted = np.where(ids == 100, 50, np.where(ids == 50, 100, ids))
    table = state["text_model.embeddings.token_embedding.weight"].copy()
    table[[50, 100]] = table[[100, 50]]
    moved = state | {"text_model.embeddings.token_embedding.weight": table}
    read = jit(text.text_tower(moved, HEADS, end=50).apply)(text.variables(moved), shifted)
    close(read.embeds, golden("metrics/clip_tiny")["text_pooled"])


def test_openai_s_layout_gives_the_same_networks(state):
    """The published .pt files fuse three maps, transpose two, and carry numbers beside the weights."""
    theirs = openai(state)
    for module, tower in ((vision, vision.vision_tower), (text, text.text_tower)):
        assert tower(theirs, HEADS) == tower(state, HEADS)
        np.testing.assert_equal(module.variables(theirs), module.variables(state))


def test_the_text_encoder_of_a_diffusion_model_has_no_projection(golden, jit, state):
    """Stable Diffusion ships the text tower alone."""
    data = golden("metrics/clip_tiny")
    alone = {name: array for name, array in state.items() if name.startswith("text_model.")}
    read = jit(text.text_tower(alone, HEADS).apply)(text.variables(alone), data["input_ids"].astype(np.int32))
    close(read.last, data["text_last_hidden"])
    end = data["input_ids"].argmax(1)
    close(read.embeds, data["text_last_hidden"][np.arange(4), end])


def test_sizes_follow_from_the_weights(state):
    """A tower of other sizes could not hold them; the number of heads alone is a convention."""
    tower = vision.vision_tower(state, HEADS, gelu)
    assert (tower.side, tower.patch, tower.width, tower.depth, tower.hidden, tower.embedding) == (32, 8, 48, 3, 96, 24)
    assert tower.nonlinearity is gelu
    with pytest.raises(ValueError, match="a number of heads that divides the width 48, got 0: pass heads"):
        vision.vision_tower(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision_model.pre_layrnorm.weight": None}, "norm_in.weight is .48,., but it is missing"),
        ({"vision_model.post_layernorm.bias": np.zeros(7)}, r"norm_out.bias is \(48,\), but it has shape \(7,\)"),
        ({"visual.layer1.0.conv1.weight": np.zeros((4, 4, 1, 1))}, "it has no layer1.0.conv1.weight"),
        ({"vision_model.embeddings.patch_embedding.weight": None}, "patches.map.weight has 4 axes, but it is missing"),
        ({"vision_model.embeddings.patch_embedding.weight": np.zeros((48, 3, 0, 0))}, "0, 0.*, and is empty: take its"),
        ({"vision_model.embeddings.position_embedding.weight": np.zeros((1, 48))}, "a square of patches, got 1: take"),
    ],
)
def test_other_networks_are_refused(state, change, message):
    """CLIP also comes with ResNets, whose features would be of nothing."""
    other = {name: array for name, array in (state | change).items() if array is not None}
    with pytest.raises(ValueError, match=message):
        vision.variables(other)
    with pytest.raises(ValueError, match="tokens.weight has 2 axes, but it is missing: take its file"):
        text.variables({"features.0.weight": np.zeros((64, 3, 3, 3))})
