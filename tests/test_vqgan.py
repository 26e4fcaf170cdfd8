"""An autoencoder with a critic, as its configuration composes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import default, override
from jaxgen.data import load
from jaxgen.recipes import build, measure

SMALL = [
    "model=vqvae",
    "model.quantizer=vector",
    *("model.channels=8", "model.halvings=1", "model.blocks=1", "model.width=4"),
    *("model.quantizer.size=8", "model.quantizer.dim=4"),
]
JUDGED = ["critic.network=patchgan", "critic.network.width=4", "critic.network.layers=1", "loss.adversarial=0.5"]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def made(digits, *overrides):
    config = override(default("autoencoder"), [*SMALL, *overrides])
    return build(config, digits.spec, measure(config.data, digits, 0))


def test_the_critic_moves_from_its_start_on_and_only_then_weighs(digits):
    """Breaks if the critic's verdict reaches the autoencoder before it has begun, if its weight is not that which makes
    the gradients at the last layer as long as those of the reconstruction, or if it never learns."""
    recipe = made(digits, *JUDGED, "critic.start=1")
    batch = {"x": digits.records[:16]["x"]}
    step, key = jax.jit(recipe.training.step), jax.random.key(0)
    start = jax.jit(recipe.training.init)(key, batch)
    first, before = step(start, batch, key)
    second, after = step(first, batch, key)
    before, after = ({name: float(value) for name, value in row.items()} for row in (before, after))
    still, moved = (
        jax.tree.map(lambda a, b: bool(jnp.all(a == b)), a.params["critic"], b.params["critic"])
        for a, b in ((start, first), (first, second))
    )
    assert jax.tree.all(still) and not jax.tree.all(moved)
    assert before["loss/autoencoder"] == pytest.approx(before["reconstruction"] + before["quantization"], rel=1e-5)
    weighed = 0.5 * after["adaptive_weight"] * after["verdict"]
    rest = after["reconstruction"] + after["quantization"]
    assert after["adaptive_weight"] > 0
    assert after["loss/autoencoder"] == pytest.approx(rest + weighed, rel=1e-4)


def test_what_belongs_together_is_asked_for_together(digits):
    """Breaks if half of an adversary or of a perceptual term is dropped without a word."""
    for overrides, said in (
        (["loss.adversarial=0.5"], "loss.adversarial=0.5 and critic.network=none go together"),
        (["critic.network=patchgan"], "loss.adversarial=None and critic.network=patchgan go together"),
        (["loss.perceptual=1.0"], "loss.perceptual=1.0 and loss.features=none go together"),
        ([*JUDGED, "model=mlp_autoencoder", "model.quantizer=vector"], "no one last layer"),
    ):
        with pytest.raises(ValueError, match=said):
            made(digits, *overrides)


def test_features_come_from_files_that_are_there(digits):
    """Breaks if a missing file of weights ends in a traceback."""
    features = ["loss.features=lpips", "loss.features.vgg=no.pth", "loss.features.linear=no.pth", "loss.perceptual=1.0"]
    recipe = made(digits, *features)
    with pytest.raises(ValueError, match="weights of loss.features in no.pth, found no such file"):
        recipe.training.init(jax.random.key(0), {"x": np.zeros((2, 8, 8, 1), np.uint8)})
