"""If these fail, a perceptual distance is not that of the published metric."""

import hashed
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.extractors.labels import published
from jaxgen.evaluate.paired import lpips as metric
from jaxgen.evaluate.paired.comparisons import SHIFT_TOLERANT_FILES
from jaxgen.evaluate.paired.lpips import ALEX, SHIFT_TOLERANT_ALEX, SHIFT_TOLERANT_VGG, SQUEEZE, VGG, frozen_lpips
from jaxgen.io.weights import open_weights
from jaxgen.io.weights.installed import installed

TRUNKS = {"alex": (ALEX, hashed.alexnet), "squeeze": (SQUEEZE, hashed.squeezenet), "vgg": (VGG, hashed.vgg16)}


def images(data) -> tuple[jax.Array, jax.Array]:
    x, y = (jnp.asarray(data[name], jnp.float32) / 127.5 - 1 for name in ("img0", "img1"))
    return x, y


def linear(golden, name: str) -> dict[str, np.ndarray]:
    """The weights of LPIPS 0.1 for this network."""
    data = golden("metrics/lpips_lin_v0.1")
    return {f"{layer.split('/')[1]}.model.1.weight": w for layer, w in data.items() if layer.startswith(name)}


@pytest.mark.parametrize("name", TRUNKS)
def test_distances_are_those_of_lpips(golden, name):
    """Breaks if a layer, a border of a convolution or a maximum, the scaling of images, the norm, the weights or the
    order of means and sums differs from LPIPS; or where the map is enlarged by another rule. Identical images have
    distance 0, but for how two passes are rounded."""
    data, (trunk, state) = golden("metrics/lpips"), TRUNKS[name]
    params = {"perceptual": frozen_lpips(state(), linear(golden, name), trunk)}

    @jax.jit
    def run(params, x, y):
        even = jax.tree.map(lambda leaf: leaf, params)
        even["perceptual"]["frozen"]["weights"] = [1.0] * len(params["perceptual"]["frozen"]["weights"])
        return (
            metric.per_layer(params, x, y, trunk),
            metric.spatial(params, x, y, trunk),
            metric.lpips(even, x, y, trunk),
        )

    per_layer, spatial, baseline = run(params, *images(data))
    for found, key in (
        (per_layer, "per_layer"),
        (per_layer.sum(0), "lpips"),
        (spatial[0], "spatial_map0"),
        (baseline, "baseline_no_lin"),
    ):
        expected = data[f"{name}/{key}"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max(), err_msg=key)
    assert (per_layer[:, 2] < 1e-12).all()


def test_shift_tolerant_distances_are_those_of_their_package(golden):
    """Breaks if a blur, its reflected border or its place among rectifier, maximum and convolution differs."""
    state = hashed.shift_tolerant_alexnet()
    params = {"perceptual": frozen_lpips(state, state, SHIFT_TOLERANT_ALEX)}
    x, y = (jnp.stack([hashed.image(f"{side}{i}", 40, 40) for i in range(2)]) / 127.5 - 1 for side in "xy")
    found = jax.jit(lambda p, x, y: metric.lpips(p, x, y, SHIFT_TOLERANT_ALEX))(params, x, y)
    np.testing.assert_allclose(found, golden("metrics/perceptual")["st_lpips"], rtol=1e-5)


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_real_shift_tolerant_weights(golden, name):
    """Breaks if what users install gives other distances than the package that it comes from, or is not known."""
    file = f"stlpips_pytorch/weights/vST0.0/{name}_shift_tolerant.pth"
    try:
        path = installed("stlpips-pytorch", file)
    except ValueError:
        pytest.skip("stlpips-pytorch is not installed")
    trunk = {"alex": SHIFT_TOLERANT_ALEX, "vgg": SHIFT_TOLERANT_VGG}[name]
    state, sha256 = open_weights(path)
    assert published("ST-LPIPS", (SHIFT_TOLERANT_FILES[name], sha256)) == "ST-LPIPS"
    params, data = {"perceptual": frozen_lpips(state, state, trunk)}, golden("metrics/stlpips_real_weights")
    per_layer = jax.jit(lambda p, x, y: metric.per_layer(p, x, y, trunk))(params, *images(golden("metrics/lpips")))
    np.testing.assert_allclose(per_layer.sum(0), data[f"{name}/stlpips"], rtol=1e-5, atol=1e-7)
    # The first layer of the reference holds the sum over all, which it forms in place.
    np.testing.assert_allclose(per_layer[1:], data[f"{name}/per_layer"][1:], rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def alex():
    heads = {f"lin{i}.model.1.weight": np.ones((1, c, 1, 1)) for i, (c, *_) in enumerate(hashed.ALEXNET)}
    return {"perceptual": frozen_lpips(hashed.alexnet(), heads, ALEX)}


def test_identical_images_have_gradient_zero(alex):
    """Breaks if a loss makes NaN of images that are reproduced exactly, grey ones and black ones too."""
    x = jnp.concatenate([jnp.full((1, 32, 32, 1), -1.0), jnp.linspace(-1, 1, 1024).reshape(1, 32, 32, 1)])
    value, slope = jax.jit(jax.value_and_grad(lambda x, y: metric.lpips(alex, x, y, ALEX).sum()))(x, x)
    assert value < 1e-12 and jnp.abs(slope).max() < 1e-6


def test_images_of_another_range_are_refused(alex):
    """Breaks if the commonest mistake goes through: pixels of 0 ... 255, or in [0, 1], give a plausible figure."""
    x = jnp.linspace(-1, 1, 2 * 32 * 32 * 3).reshape(2, 32, 32, 3)
    with pytest.raises(ValueError, match=r"in \[-1, 1\], got values from -127.5 to 127.5"):
        metric.lpips(alex, 127.5 * x, x, ALEX)
    with pytest.raises(ValueError, match=r"got uint8 \(2, 32, 32, 3\)"):
        metric.lpips(alex, x.astype(jnp.uint8), x, ALEX)
    with pytest.raises(ValueError, match=r"one size, got \(32, 32\) and \(16, 32\)"):
        metric.lpips(alex, x, x[:, :16], ALEX)
    with pytest.raises(ValueError, match="images of 16 x 16 pixels leave nothing"):
        jax.eval_shape(lambda x: metric.lpips(alex, x, x, ALEX), x[:, :16, :16])
    with pytest.warns(UserWarning, match=r"seem to be in \[0, 1\]"):
        metric.check((x + 1) / 2, (x + 1) / 2)


def test_other_networks_are_refused():
    """Breaks if weights of another network end in a shape error within the run, or in a wrong figure."""
    with pytest.raises(ValueError, match=r"VGG16 .*conv1_1\.bias .*it is missing"):
        frozen_lpips({}, {})
    with pytest.raises(ValueError, match=r"AlexNet .*it has shape \(3, 3, 3, 64\)"):
        frozen_lpips(hashed.alexnet() | {"features.0.weight": np.ones((64, 3, 3, 3))}, {}, ALEX)
    with pytest.raises(ValueError, match="linear layers lin0"):
        frozen_lpips(hashed.alexnet(), {"lin0.model.1.weight": np.ones(3)}, ALEX)
    heads = {f"lin{i}.model.1.weight": -np.ones((1, c, 1, 1)) for i, (c, *_) in enumerate(hashed.ALEXNET)}
    with pytest.raises(ValueError, match="never negative"):
        frozen_lpips(hashed.alexnet(), heads, ALEX)
