"""If these fail, an FID is of other features than those of the published figures."""

import hashed
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.commands.metrics import NETWORKS
from jaxgen.evaluate.extractors.inception import RULES, layers
from jaxgen.models.recognition import torchvision_inception
from jaxgen.models.recognition.inception import SIDE, InceptionV3, variables
from jaxgen.models.recognition.inception_names import CONVOLUTIONS

DEPTHS = {
    "pool64": "64_f64",
    "pool192": "192_f64",
    "pool768": "768_f64",
    "pool2048": "2048_f64",
    "spatial": "sfid_spatial_2023",
    "logits": "logits_unbiased_f64",
}
INPUTS = {  # images, rule -> what the reference's features are called
    ("s32", "tf1"): "2048_f64",
    ("s75x100", "tf1"): "2048_f64",
    ("s299", "tf1"): "2048_f64",
    ("s400x320", "tf1"): "2048_f64",
    ("s32", "clean"): "2048_cleanfid_preproc",
    ("s400x320", "clean"): "2048_cleanfid_preproc",
    ("s32", "pytorch_fid"): "2048_pytorchfid_preproc",
    ("s400x320", "torchmetrics"): "2048_torchmetrics_antialias",
}


@pytest.fixture(scope="module")
def state():
    return hashed.inception()


def test_every_depth_and_every_input_rule_match_the_reference(golden, state):
    """Each quirk shows here: pools that count the border, a mean in the last block, another epsilon, a bias; and of the
    rules: half a pixel, antialiasing, the 127.5 that is 128 elsewhere."""
    data = golden("metrics/inception_v3")

    def seen(images: str, rule: str) -> jax.Array:
        resized, centre = RULES[rule]
        return (resized(jnp.asarray(data[f"{images}/images"], jnp.float32), SIDE, SIDE) - centre) / centre

    found = jax.jit(InceptionV3().apply)(variables(state), jnp.concatenate([seen(*case) for case in INPUTS]))
    first = 0
    for (images, rule), features in INPUTS.items():
        rows = slice(first, first := first + len(data[f"{images}/images"]))
        compared = DEPTHS if rule == "tf1" else {"pool2048": features}
        for name, key in compared.items():
            expected = data[f"{images}/{key}"]
            bound = 1e-5 * np.abs(expected).max()
            message = f"{images} {rule} {name}"
            np.testing.assert_allclose(getattr(found, name)[rows], expected, rtol=0, atol=bound, err_msg=message)


def test_torchvisions_network_matches_torchvision(golden, state):
    """Its pools count the border, and its last layer has a bias: half of it would be FID's under another name."""
    fc = {name: hashed.tensor(name, shape) for name, shape in (("fc.weight", (1000, 2048)), ("fc.bias", (1000,)))}
    head = {"AuxLogits.conv0.conv.weight": np.zeros((128, 768, 1, 1), np.float32)}
    x = (np.float32(hashed.image("golden/s299/0", SIDE, SIDE))[None] - 127.5) / 127.5
    network = torchvision_inception.NETWORK
    found = jax.jit(network.apply)(torchvision_inception.variables(state | fc | head), x)
    assert {*layers(found)} == {*NETWORKS["torchvision_inception"].layers}
    expected = golden("metrics/torchvision_inception")["logits"]
    np.testing.assert_allclose(found.logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_archive_of_stylegan_is_the_same_network(state):
    """Its names are those of the TensorFlow graph, without scales: a branch taken for another keeps its shape. Neither
    file has counters of batches."""
    leaves = {"conv.weight": "weight", "bn.bias": "beta", "bn.running_mean": "mean", "bn.running_var": "var"}
    archive = {f"output.{leaf}": state[f"fc.{leaf}"] for leaf in ("weight", "bias")}
    plain = {"fc.weight": state["fc.weight"]}
    for theirs, ours in CONVOLUTIONS.items():
        archive |= {f"layers.{theirs}.{leaf}": state[f"{ours}.{name}"] for name, leaf in leaves.items()}
        plain |= {f"{ours}.{name}": state[f"{ours}.{name}"] for name in leaves}
        plain[f"{ours}.bn.weight"] = np.ones_like(state[f"{ours}.bn.bias"])
    assert archive["layers.mixed_8.tower_1.conv_3.weight"] is state["Mixed_7a.branch7x7x3_4.conv.weight"]
    assert archive["layers.mixed_10.tower_1_mixed_conv_1.weight"] is state["Mixed_7c.branch3x3dbl_3b.conv.weight"]
    for a, b in zip(jax.tree.leaves(variables(archive)), jax.tree.leaves(variables(plain)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_networks_are_refused(state):
    """torchvision's Inception has 1000 classes and a second head: its features would make a plausible wrong FID."""
    with pytest.raises(ValueError, match=r"has shape \(1000, 2048\), not \(1008, 2048\): take pt_inception-2015-12-05"):
        variables(state | {"fc.weight": np.zeros((1000, 2048), np.float32)})
    with pytest.raises(ValueError, match="it has no AuxLogits.conv0.conv.weight: take pt_inception-2015-12-05"):
        variables(state | {"AuxLogits.conv0.conv.weight": np.zeros((128, 768, 1, 1), np.float32)})
    with pytest.raises(ValueError, match="Mixed_7c.branch_pool.bn.running_var is missing"):
        variables({name: array for name, array in state.items() if name != "Mixed_7c.branch_pool.bn.running_var"})
