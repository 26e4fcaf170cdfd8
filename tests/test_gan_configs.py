"""The configurations of published adversarial networks, each traced at its size."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import load
from jaxgen.data import Spec
from jaxgen.recipes import Statistics, build

CONFIGS = Path(__file__).parent.parent / "configs"
RUNS = {  # parameters of generator and critic in millions, moves of the generator
    "dcgan/cifar10": (3.5, 2.6, 100_000),
    "sngan/cifar10": (4.3, 1.1, 100_000),
    "sngan/cifar10_projection": (4.3, 1.1, 100_000),
    "wgan_gp/cifar10": (4.3, 1.1, 100_000),
    "biggan/cifar10": (4.3, 4.2, 125_000),
    "biggan/imagenet128": (70.4, 88.0, 150_000),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_published_run_can_be_built_and_stepped(name):
    """Breaks if a configuration names what there is not, or does not fit its data: found otherwise after the download.
    The sizes are the sums over layers of `test_resnet` and `test_biggan`, in millions."""
    config = load(CONFIGS / f"{name}.py", [])
    size, classes = (128, 1000) if "imagenet" in name else (32, 10)
    spec = Spec((size, size, 3), 256, classes, tuple(map(str, range(classes))), 50_000)
    recipe = build(config, spec, Statistics(np.zeros(spec.shape, np.float32), 0.5))
    batch = {"x": jnp.zeros((4, *spec.shape), jnp.uint8)} | (
        {"cond": jnp.zeros(4, jnp.int32)} if config.data.conditional else {}
    )
    state = jax.eval_shape(recipe.training.init, jax.random.key(0), batch)
    counts = [
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params[network]["params"])) / 1e6
        for network in ("generator", "critic")
    ]
    generator, critic, moves = RUNS[name]
    assert counts == pytest.approx([generator, critic], abs=0.05)
    assert config.train.steps == moves * config.generator.every
    after, metrics = jax.eval_shape(recipe.training.step, state, batch, jax.random.key(0))
    assert jax.tree.map(lambda leaf: leaf.shape, after) == jax.tree.map(lambda leaf: leaf.shape, state)
    assert {"logits/real", "logits/fake"} <= set(metrics)
