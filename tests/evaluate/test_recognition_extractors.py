"""If these fail, the networks of FID and FVD are opened from another file, or under another name, than they say."""

import hashlib
from pathlib import Path

import hashed
import jax
import numpy as np
import pytest
import torch_files

from jaxgen.commands import metrics
from jaxgen.evaluate.extractors import dinov2, i3d, inception, lite0, torchvision_inception, vgg
from jaxgen.evaluate.extractors.labels import published
from jaxgen.io.weights import open_weights
from jaxgen.models.recognition.inception import variables
from jaxgen.models.recognition.vgg import Classifier

TINY_DINOV2 = Path(__file__).parent.parent / "golden" / "metrics" / "dinov2_tiny.safetensors"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The network of the FID in a file as it is published, with other numbers, and its state dict."""
    state = {name: array for name, array in hashed.inception().items() if array.ndim}
    return torch_files.saved(tmp_path_factory.mktemp("weights") / "inception.pth", state), state


def test_a_published_file_is_opened_by_its_rule(weights):
    """Figures agree only where network, rule and weights do, so that the name must tell all three; and sFID's layer and
    the depths of pytorch-fid must be there beside the features."""
    path, state = weights
    network, clean = inception.open(path), inception.open(path, "clean")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    assert network.name == f"Inception-v3 2015-12-05, input tf1, weights sha256 {checksum}, float32"
    assert clean.name == network.name.replace("tf1", "clean")
    jax.tree.map(np.testing.assert_array_equal, network.params, variables(state))
    found = jax.eval_shape(network.fn, network.params, jax.ShapeDtypeStruct((2, 32, 32, 3), np.uint8))
    widths = {"features": 2048, "logits": 1008, "spatial": 2023, "pool64": 64, "pool192": 192, "pool768": 768}
    assert {name: layer.shape for name, layer in found.items()} == {name: (2, d) for name, d in widths.items()}


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("inception", lambda: inception.extractor(hashed.inception(), "0")),
        ("vgg", lambda: vgg.extractor(hashed.vgg16() | hashed.vgg16_classifier(16), "0", Classifier(16))),
        ("lite0", lambda: lite0.extractor(hashed.efficientnet_lite0(), "0")),
        ("dinov2", lambda: dinov2.extractor(open_weights(TINY_DINOV2), heads=4)),
    ],
)
def test_metrics_are_offered_the_layers_that_a_network_has(name, opened):
    """Breaks if a layer is refused that is there, or found missing when weights are loaded and images are open."""
    network, known = opened(), metrics.NETWORKS[name]
    x = network.prepare(np.zeros((1, 32, 32, 3), np.uint8))
    assert {*jax.eval_shape(network.fn, network.params, x)} == {*known.layers}
    alike = [other for other in metrics.NETWORKS.values() if other.module == known.module]
    assert {other.layers for other in alike} == {known.layers}


def test_only_published_weights_have_a_published_name(weights):
    """Any file with the right shapes would otherwise give a FID."""
    assert inception.extractor(weights[1], "6726825d" + "0" * 56).label == "Inception"
    network = inception.open(weights[0])
    assert (network.label, network.dtype) == ("Inception (unknown weights)", "float32")
    assert network.weights == hashlib.sha256(weights[0].read_bytes()).hexdigest()
    for file, prefix in ((vgg.ADDRESS, "397923af"), (lite0.FILE, "57934424"), (torchvision_inception.FILE, "0cc3c7bd")):
        assert published("a network", (file, f"{prefix}00")) == "a network"
        assert published("a network", (file, f"0{prefix}")) == "a network (unknown weights)"
    assert published("two files", ("7be5be79", "7be5be7900"), ("df73285e", "00")) == "two files (unknown weights)"
    assert published("two files", ("7be5be79", "7be5be7900"), ("df73285e", "df73285e00")) == "two files"
    assert published("no checksum", ("dinov2_vitl14_pretrain.pth", "00")) == "no checksum (unknown weights)"


def test_weights_that_nobody_can_check_are_said_to_be_unverified(monkeypatch):
    """Any file with the right shapes would otherwise give an FD-DINOv2 or an FVD without a word."""
    assert dinov2.extractor(open_weights(TINY_DINOV2), heads=4).name.endswith(", float32 (unverified weights)")
    monkeypatch.setattr(i3d, "variables", lambda state: {})
    assert i3d.extractor({}, "00").name.endswith("weights sha256 00, float32 (unverified weights)")


def test_missing_and_wrong_files_end_in_one_sentence(weights):
    """Another network under the name of FID would give a plausible number."""
    with pytest.raises(ValueError, match="fetch https://.*pt_inception-2015-12-05-6726825d.pth and pass --weights"):
        inception.open(None)
    with pytest.raises(ValueError, match="fetch i3d_torchscript.pt"):
        i3d.open(None)
    with pytest.raises(ValueError, match="tf1, tfgan, clean, pytorch_fid or torchmetrics, got 'tf2'"):
        inception.open(weights[0], "tf2")
    with pytest.raises(ValueError, match="I3D for Kinetics-400, but Conv3d_1a_7x7.* is missing: take i3d_torchscript"):
        i3d.open(weights[0])
    with pytest.raises(ValueError, match=r"torchvision's Inception-v3, but fc.weight has shape \(1008, 2048\)"):
        torchvision_inception.open(weights[0])
