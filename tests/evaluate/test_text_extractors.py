"""If these fail, CLIP and DINOv2 see other pixels than in published figures, or texts other than the prompts."""

import json

import numpy as np
import pytest
import tiny_clip
from conftest import GOLDEN
from hashed import tensor
from PIL import Image
from tiny_clip import TOKENS, VOCABULARY, WIDTH

from jaxgen.commands.metrics import NETWORKS
from jaxgen.evaluate.extractors import clip, dinov2
from jaxgen.evaluate.extractors.labels import sized
from jaxgen.evaluate.stream.features import extract
from jaxgen.evaluate.text_image import per_image
from jaxgen.io.weights import Weights, open_weights
from jaxgen.models.recognition import clip as vision

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def weights():
    return tiny_clip.state()


@pytest.fixture(scope="module")
def path(weights, tmp_path_factory):
    """The weights in a file."""
    return tiny_clip.save(tmp_path_factory.mktemp("clip") / "model.safetensors", weights)


@pytest.mark.parametrize("image", ["0", "1"])
def test_pixels_are_those_of_the_published_preprocessing(golden, image):
    """A resize that is rounded once, or a crop one pixel aside, changes a sixth of the pixels."""
    data = golden("metrics/resize")
    (found,) = clip.prepared(clip.RULES["clip"], 224, data[f"{image}/image"][None])
    np.testing.assert_array_equal(found[::3, ::3], data[f"{image}/clip_preproc_crop224"])
    assert found.sum(dtype=np.int64) == data[f"{image}/crop_sum"]
    (squashed,) = dinov2.squashed(data[f"{image}/image"][None])
    np.testing.assert_array_equal(squashed[::3, ::3], data[f"{image}/pil_u8_bicubic_224x224_squash"])


def test_cmmd_cuts_before_it_resizes():
    """What lies outside the middle square must not be seen, and squares are the same for both."""
    image = np.zeros((1, 40, 100, 3), np.uint8)
    image[:, :, 30:70] = 200
    assert (clip.prepared(clip.RULES["cmmd"], 32, image) == 200).all()
    assert (clip.prepared(clip.RULES["clip"], 32, image) < 200).any()
    square = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), np.uint8)
    np.testing.assert_array_equal(*(clip.prepared(rule, 32, square) for rule in clip.RULES.values()))


def test_the_whole_way_from_pixels_and_prompts_to_cosines(path, weights, jit):
    """Shows pixels that are not normalised, prompts without their prefix, rows in another order; written out with numpy
    but for the network, which has its own tests."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 40, 52, 3), np.uint8)
    prompts = ["a red cube", "Two cats; sleeping", "the sea"]
    both = clip.open_clip(path, VOCABULARY)
    found = clip.scorer(both, "A photo depicts ")(images, prompts)

    small = [Image.fromarray(image).resize((41, 32), Image.Resampling.BICUBIC).crop((4, 0, 36, 32)) for image in images]
    x = (np.stack([np.asarray(image) for image in small]) / 255 - vision.MEAN) / vision.DEVIATION
    seen = jit(vision.vision_tower(weights).apply)(vision.variables(weights), x.astype(np.float32)).embeds
    read = both.texts([f"A photo depicts {prompt}" for prompt in prompts])
    lengths = np.linalg.norm(seen, axis=1) * np.linalg.norm(read, axis=1)
    np.testing.assert_allclose(found, np.sum(np.asarray(seen) * read, 1) / lengths, atol=1e-5)
    assert np.ptp(found) > 1e-3
    alone = both.texts([f"A photo depicts {prompts[1]}"])
    np.testing.assert_allclose(alone[0], read[1], atol=1e-5)


def test_the_name_tells_the_protocol(path, weights):
    """Figures of other weights, another rule or activation must not be compared unseen."""
    one = clip.open(path)
    assert one.name.startswith("CLIP ViT width 64, depth 1, patch 16, quick_gelu, input 32 px clip, weights sha256 ")
    assert open_weights(path).sha256 in one.name and one.name.endswith("float32 (unverified weights)")
    other = clip.open(path, "cmmd", "gelu")
    assert "gelu, input 32 px cmmd" in other.name and "quick" not in other.name
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    layers = [next(extract(network, [images], batch=8)) for network in (one, other)]
    assert {frozenset(found) for found in layers} == {
        frozenset(NETWORKS[name].layers) for name in ("clip", "clip_cmmd")
    }
    a, b = (found["features"] for found in layers)
    assert 1e-4 < np.abs(a - b).max() < 0.1
    for wrong in (("tf1",), ("clip", "relu")):
        with pytest.raises(ValueError, match="of CLIP must be"):
            clip.open(path, *wrong)


def test_a_vocabulary_of_another_network_is_refused(weights):
    """Its ids would be in range, and mean other words."""
    table = "text_model.embeddings.token_embedding.weight"
    larger = Weights(weights | {table: tensor(table, (TOKENS + 1, WIDTH))}, "0")
    tokenizer = clip.open_tokenizer(VOCABULARY)
    with pytest.raises(ValueError, match=f"a vocabulary of {TOKENS + 1} tokens, got {TOKENS}"):
        clip.texts(larger, tokenizer)
    assert clip.texts(Weights(weights, "0"), tokenizer)([]).shape == (0, 24)


def test_the_activation_is_that_of_the_configuration(path, tmp_path):
    """Weights of LAION's with OpenAI's activation give figures that look right, under the name of published ones."""
    copy, beside = tmp_path / path.name, tmp_path / "config.json"
    copy.write_bytes(path.read_bytes())
    for config, found in (
        ({"vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "gelu"}}, "gelu"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"vision_config": {}}, "quick_gelu"),
    ):
        beside.write_text(json.dumps(config))
        assert clip.activation_of(copy) == found
        assert f", {found}, input" in clip.open(copy).name
    assert ", gelu, input" in clip.open(copy, activation="gelu").name
    for wrong, said in (
        ({"vision_config": {"hidden_act": "gelu"}, "text_config": {}}, "hidden_act is gelu and quick_gelu"),
        ({"hidden_act": "silu"}, "hidden_act is silu"),
        ({"vision_config": [1]}, "has no attribute"),
        (["gelu"], "gelu"),
    ):
        beside.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=f"expected the configuration of a CLIP, .*{said}"):
            clip.open(copy)


def test_labels_tell_what_a_published_name_depends_on(weights, path):
    """FD-DINOv2 is of L/14 and CMMD of L/14-336: figures of another size or activation must not bear their names."""
    sizes = [(1024, 24, 14), (768, 12, 32), (384, 12, 14), (1536, 40, 14), (64, 1, 16)]
    assert [sized(*size) for size in sizes] == ["L/14", "B/32", "S/14", "g/14", "64x1/16"]
    one = clip.open(path)
    assert (one.label, one.weights, one.dtype) == ("CLIP-64x1/16-32", open_weights(path).sha256, "float32")
    assert clip.open(path, "cmmd", "gelu").label == "CLIP-64x1/16-32-gelu"
    places = "vision_model.embeddings.position_embedding.weight"
    larger = Weights(weights | {places: tensor(places, (1 + 14**2, WIDTH))}, "0")
    assert clip.extractor(larger).label == "CLIP-64x1/16"
    tiny = open_weights(GOLDEN / "metrics" / "dinov2_tiny.safetensors")
    network = dinov2.extractor(tiny, heads=4)
    assert (network.label, network.weights) == ("DINOv2-32x2/14", tiny.sha256)


def test_openais_files_are_told_by_their_checksums():
    """Breaks if weights in OpenAI's layout that are not OpenAI's, LAION's for one, give a CLIPScore or a CMMD, or if
    those of transformers, whose files have no known checksum, are said to be published."""
    theirs, other = {"visual.proj": np.zeros(1)}, {"visual_projection.weight": np.zeros(1)}
    for size, prefix, tower in (
        ("B/32", "40d36571", vision.VisionTower()),
        ("L/14", "b8cca3fd", vision.VisionTower(224, 14, 1024, 24)),
        ("L/14-336", "3035c92b", vision.VisionTower(336, 14, 1024, 24)),
    ):
        assert clip.labelled(tower, "quick_gelu", Weights(theirs, f"{prefix}00")) == (f"CLIP-{size}", "")
        found = clip.labelled(tower, "quick_gelu", Weights(theirs, f"0{prefix}"))
        assert found == (f"CLIP-{size} (unknown weights)", "")
        found = clip.labelled(tower, "quick_gelu", Weights(other, f"{prefix}00"))
        assert found == (f"CLIP-{size}", " (unverified weights)")
    size = vision.VisionTower(224, 16, 768, 12)
    assert clip.labelled(size, "quick_gelu", Weights(theirs, "00")) == ("CLIP-B/16", " (unverified weights)")
    assert {"CLIPScore", "CLIPScore-B/32 (unknown weights)"} < {
        name for label in ("CLIP-B/32", "CLIP-B/32 (unknown weights)") for name in per_image([0], [0], [0], None, label)
    }


def test_features_of_dinov2_are_its_first_token(golden, jit):
    """The mean of the patches, or the token before the last norm, gives other distances that look as good."""
    tiny = open_weights(GOLDEN / "metrics" / "dinov2_tiny.safetensors")
    images = golden("metrics/dinov2_tiny")["native56/images"]
    network = dinov2.extractor(tiny, heads=4)
    assert (
        "DINOv2 ViT width 32, depth 2, patch 14, input 224 px squashed" in network.name and tiny.sha256 in network.name
    )
    found = next(extract(network, [images], batch=8))["features"]
    assert found.shape == (2, 32)
    x = (dinov2.squashed(images).astype(np.float32) / 255 - np.float32(dinov2.MEAN)) / np.float32(dinov2.DEVIATION)
    tokens = jit(dinov2.dinov2(tiny.state, 4).apply)(dinov2.variables(tiny.state), x)
    np.testing.assert_allclose(found, tokens[:, 0], atol=1e-5 * np.abs(tokens).max())
