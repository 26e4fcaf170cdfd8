"""R3GAN against the published network: weights, values, sizes."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.configuration import load
from jaxgen.data import Spec
from jaxgen.models.gan.r3gan import R3GANCritic, R3GANGenerator
from jaxgen.parallel.batched import example_keys
from jaxgen.recipes import build, names
from jaxgen.recipes.invoke import invoke
from jaxgen.train.state import averaged

CONFIGS = Path(__file__).parents[2] / "configs" / "r3gan"

TINY = dict(widths=(12, 12), groups=(3, 3), blocks=1)
PUBLISHED = {0: (20.7, 20.7), 10: (20.8, 21.3)}  # classes: millions of parameters of generator and critic


def published(data: dict[str, np.ndarray], network: str) -> dict:
    """The weights in the golden file under the names here."""
    stages = "Layers.1", "Layers.1"
    outer = {"AggregationLayer.Layer.weight": "Conv_0/kernel", "MainLayers.0.Layers.0.Basis": "basis"}
    linear = "MainLayers.0.Layers.0.LinearLayer.weight"
    if network == "D":
        stages = "Layers.0", "Layers.0"
        outer = {"ExtractionLayer.Layer.weight": "Conv_0/kernel", "MainLayers.1.Layers.1.Basis.weight": "basis/kernel"}
        linear = "MainLayers.1.Layers.1.LinearLayer.weight"
    names = outer | {linear: "Dense_0/kernel"}
    for i, block in enumerate(stages):
        names |= {
            f"MainLayers.{i}.{block}.LinearLayer{k + 1}.Layer.weight": f"Block_{i}/Conv_{k}/kernel" for k in range(3)
        }
        names |= {
            f"MainLayers.{i}.{block}.NonLinearity{k + 1}.Bias": f"Block_{i}/Activation_{k}/bias" for k in range(2)
        }
    order = {4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (1, 0), 1: (0,)}
    assert {*names, *(n for n in (k[2:] for k in data if k[:2] == network + "/") if "Resampler" in n)} == {
        k[2:] for k in data if k[:2] == network + "/"
    }
    weights = {tuple(path.split("/")): data[f"{network}/{name}"] for name, path in names.items()}
    return {path: w.transpose(order[w.ndim]).astype(np.float64) for path, w in weights.items()}


def test_the_networks_are_the_published_ones(golden, x64, jit):
    """Published weights must give published images and logits, and no weight may be missing or left over."""
    data = golden("families/gan_r3gan_tiny")
    z, x = jnp.asarray(data["z"], float), jnp.asarray(data["img"].transpose(0, 2, 3, 1), float)
    for net, network, given, want in (
        (R3GANGenerator((8, 8, 3), 8, **TINY), "G", z, x),
        (R3GANCritic(**TINY), "D", x, data["logits"]),
    ):
        weights = published(data, network)
        tree = flatten_dict(jax.eval_shape(net.init, jax.random.key(0), given)["params"])
        assert {path: leaf.shape for path, leaf in tree.items()} == {path: w.shape for path, w in weights.items()}
        got = jit(net.apply)({"params": unflatten_dict(weights)}, given)
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


@pytest.mark.parametrize("classes", PUBLISHED)
def test_full_size_networks_have_the_published_number_of_parameters(classes):
    """A missing or extra layer changes the count, and with it the published model."""
    z, x, c = jnp.zeros((1, 64)), jnp.zeros((1, 32, 32, 3)), jnp.zeros(1, int) if classes else None
    nets = (R3GANGenerator((32, 32, 3), num_classes=classes), z), (R3GANCritic(num_classes=classes), x)
    for (net, given), millions in zip(nets, PUBLISHED[classes], strict=True):
        tree = jax.eval_shape(net.init, jax.random.key(0), given, c)
        assert round(sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) / 1e6, 1) == millions


@pytest.fixture(scope="module")
def conditional(jit):
    net = R3GANCritic(num_classes=3, widths=(8, 4), groups=(2, 1))
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    return net, jit(net.init)(jax.random.key(0), x, jnp.zeros(4, int)), x


def test_blocks_begin_as_the_identity_and_are_shown(conditional):
    """Without the zero at the end of a block a deep critic starts out exploding; feature matching needs the blocks."""
    net, variables, x = conditional
    _, shown = net.apply(variables, x, jnp.zeros(4, int), mutable=["features"])
    blocks = shown["features"]["blocks"]
    assert [h.shape for h in blocks] == [(4, 8, 8, 4)] * 2 + [(4, 4, 4, 8)] * 2
    np.testing.assert_array_equal(blocks[0], blocks[1])


def test_the_class_decides(conditional):
    """A critic deaf to the class lets the generator ignore it."""
    net, variables, x = conditional
    logits = [net.apply(variables, x, jnp.full(4, c)) for c in range(3)]
    assert all(jnp.abs(logits[i] - logits[j]).min() > 1e-4 for i in range(3) for j in range(i))
    maker = R3GANGenerator((8, 8, 1), 6, num_classes=3, widths=(8, 4), groups=(2, 1))
    z = jnp.ones((3, 6))
    images = maker.apply(maker.init(jax.random.key(0), z, jnp.arange(3)), z, jnp.arange(3))
    assert min(jnp.abs(images[i] - images[j]).max() for i in range(3) for j in range(i)) > 1e-3


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"widths": (8, 8, 8), "groups": (1, 1, 1)}, "3 widths make images of 16x16, got 8x8"),
        ({"widths": (8, 8), "groups": (3, 4)}, "divides 2 times it"),
        ({"widths": (8, 8), "groups": (4,)}, "for each width a number of groups"),
    ],
)
def test_stages_that_do_not_fit_are_refused(options, sentence):
    """One sentence with the sizes that would fit, instead of an error inside a convolution."""
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(R3GANCritic(**options).init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


@pytest.mark.parametrize("name", ["cifar10", "emoji32"])
def test_the_configurations_can_be_trained(name):
    """A run on an accelerator must not end in its first step for a key that does not fit."""
    classes = 10 if name == "cifar10" else 9
    config = load(CONFIGS / f"{name}.py")
    recipe = build(config, Spec((32, 32, 3), 256, classes, ("",) * classes, 50_000), None)
    batch = {"x": jnp.zeros((4, 32, 32, 3), jnp.uint8), "label": jnp.zeros(4, jnp.int32)}
    state = jax.eval_shape(recipe.training.init, jax.random.key(0), batch)
    after, metrics = jax.eval_shape(recipe.training.step, state, batch, jax.random.key(0))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    images = jax.eval_shape(recipe.sample, averaged(after), example_keys(0, jnp.arange(4)), batch["label"])
    assert images.shape == (4, 32, 32, 3)
    assert {"augment/p", "r1", "r2", "logits/real", "logits/fake"} <= set(metrics)


def test_the_average_forgets_its_start_as_published():
    """The half-life of the average grows from 0 to 5 million images along a cosine of 20 million."""
    config = load(CONFIGS / "cifar10.py")
    decay = invoke(names.AVERAGES, config.ema, "ema")
    for images, half_life in ((1e6, 2.5e6 * (1 - math.cos(math.pi / 20))), (1e7, 2.5e6), (2e7, 5e6), (1e8, 5e6)):
        np.testing.assert_allclose(decay(jnp.asarray(images / 512)), 0.5 ** (512 / half_life), rtol=1e-5)
