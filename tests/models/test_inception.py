"""If these fail, an FID is of other features than those of the published figures."""

import jax
import numpy as np
import pytest
from hashed import inception

from jaxgen.evaluate.resize import tf1_bilinear
from jaxgen.models.inception import SIDE, InceptionV3, parameters

GOLDEN = {
    "pool64": "64_f64",
    "pool192": "192_f64",
    "pool768": "768_f64",
    "pool2048": "2048_f64",
    "spatial": "sfid_spatial_2023",
    "logits": "logits_unbiased_f64",
}


@pytest.fixture(scope="module")
def state():
    return inception()


@pytest.mark.parametrize("images", ["s32", "s75x100"])
def test_every_depth_matches_the_reference(golden, state, images):
    """Each quirk shows here: pools that count the border, a mean in the last block, another epsilon, a bias."""
    data = golden("inception_v3")

    @jax.jit
    def run(params, x):
        return InceptionV3().apply(params, (tf1_bilinear(x, SIDE, SIDE) - 128) / 128)

    found = run(parameters(state), data[f"{images}/images"].astype(np.float32))
    for name, key in GOLDEN.items():
        expected = data[f"{images}/{key}"]
        np.testing.assert_allclose(
            getattr(found, name), expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=name
        )


def test_other_networks_are_refused(state):
    """torchvision's Inception has 1000 classes and a second head: its features would make a plausible wrong FID."""
    with pytest.raises(ValueError, match=r"fc.weight has shape \(1000, 2048\), not \(1008, 2048\)"):
        parameters(state | {"fc.weight": np.zeros((1000, 2048), np.float32)})
    with pytest.raises(ValueError, match="it has no AuxLogits.conv0.conv.weight"):
        parameters(state | {"AuxLogits.conv0.conv.weight": np.zeros((128, 768, 1, 1), np.float32)})
    with pytest.raises(ValueError, match="Mixed_7c.branch_pool.bn.running_var is missing"):
        parameters({name: array for name, array in state.items() if name != "Mixed_7c.branch_pool.bn.running_var"})


def test_files_without_batch_counters_are_read(state):
    """The published file is older than these counters."""
    parameters({name: array for name, array in state.items() if not name.endswith("num_batches_tracked")})
