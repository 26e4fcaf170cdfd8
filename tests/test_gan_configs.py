"""The configurations of published adversarial networks: their sizes, and what is measured before they are sampled."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import load
from jaxgen.data import Spec
from jaxgen.recipes import Statistics, build
from jaxgen.train.state import averaged

CONFIGS = Path(__file__).parent.parent / "configs"
RUNS = {  # parameters of generator and critic in millions, moves of the generator
    "dcgan/cifar10": (3.5, 2.6, 100_000),
    "sngan/cifar10": (4.3, 1.1, 100_000),
    "sngan/cifar10_projection": (4.3, 1.1, 100_000),
    "wgan_gp/cifar10": (4.3, 1.1, 100_000),
    "biggan/cifar10": (4.3, 4.2, 125_000),
    "biggan/imagenet128": (70.4, 88.0, 150_000),
    "sagan/imagenet128": (42.0, 39.4, 1_000_000),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_published_run_has_its_size_and_can_be_measured_and_sampled(name):
    """Breaks if a configuration has another network or length than its paper, or if its statistics cannot be measured
    anew: found otherwise after the training. The sizes are the sums over layers of `test_resnet` and `test_biggan`, in
    millions."""
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
    params = jax.eval_shape(averaged, state)
    measured = jax.eval_shape(recipe.prepare, params, jax.random.key(0))
    assert jax.tree.map(jnp.shape, measured) == jax.tree.map(jnp.shape, params)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    x = jax.eval_shape(recipe.sample, measured, keys, batch.get("cond"))
    assert (x.shape, x.dtype) == ((4, *spec.shape), jnp.float32)
