"""If these fail, an FVD is of other features than those of the published figures."""

from pathlib import Path

import hashed
import jax
import numpy as np
import pytest

from jaxgen.commands.metrics import NETWORKS
from jaxgen.evaluate.extractors.i3d import extractor
from jaxgen.models.recognition.i3d import variables

GOLDEN = Path(__file__).parent.parent / "golden" / "metrics" / "i3d.npz"


@pytest.fixture(scope="module")
def state():
    """Names and shapes of kinetics_i3d_pytorch, which StyleGAN-V's archive has too."""
    with np.load(GOLDEN) as data:
        shapes = {str(name): tuple(shape[shape > 0]) for name, shape in zip(data["names"], data["shapes"], strict=True)}
    return hashed.state(shapes, "i3d/")


def test_logits_match_the_reference(golden, state):
    """Nine frames, of which every stride leaves an odd number: padding that does not depend on the size, another
    epsilon, a pool over too few frames or other resizing shows here."""
    data = golden("metrics/i3d")
    network = extractor(state, "0" * 64)
    found = jax.jit(network.fn)(network.params, data["clip"][None])
    assert {*found} == {*NETWORKS["i3d"].layers}
    np.testing.assert_allclose(found["features"], data["logits"], rtol=0, atol=1e-5 * np.abs(data["logits"]).max())


def test_both_published_layouts_are_the_same_network(state):
    """pytorch-i3d has other names for the same arrays; taken for another branch they would still have a shape."""
    names = {"conv3d_0c_1x1.": "logits.", "conv3d_": "Conv3d_", "mixed": "Mixed", "batch3d": "bn", "branch_0": "b0"}
    names |= {f"branch_{i}.{j}": f"b{i}{'ab'[j]}" for i in (1, 2) for j in (0, 1)} | {"branch_3.1": "b3b"}
    other = {}
    for name, array in state.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        other[name] = array
    assert other.keys() != state.keys()
    for a, b in zip(jax.tree.leaves(variables(state)), jax.tree.leaves(variables(other)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_networks_and_short_clips_are_refused(state):
    """I3D for Kinetics-600 has features of the same names: a Fréchet distance of its logits is no FVD."""
    with pytest.raises(ValueError, match=r"logits.conv3d.weight has shape \(600, 1024, 1, 1, 1\)"):
        variables(state | {"conv3d_0c_1x1.conv3d.weight": np.zeros((600, 1024, 1, 1, 1), np.float32)})
    network = extractor(state, "0" * 64)
    with pytest.raises(ValueError, match="T >= 9 frames"):
        jax.eval_shape(network.fn, network.params, jax.ShapeDtypeStruct((1, 8, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="torch or tf1, got 'nearest'"):
        extractor(state, "0" * 64, "nearest")
