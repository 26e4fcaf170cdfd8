"""An autoencoder with a critic, as its configuration composes it."""

import hashed
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.commands.convert import publish
from jaxgen.commands.info import info
from jaxgen.commands.model import open_model
from jaxgen.configuration import default, override
from jaxgen.data import load
from jaxgen.evaluate.paired.lpips import frozen_lpips
from jaxgen.models.recognition.vgg import STAGES
from jaxgen.recipes import adversary, build, measure
from jaxgen.workdir import Run

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


LPIPS = ["loss.features=lpips", "loss.features.vgg=no.pth", "loss.features.linear=no.pth", "loss.perceptual=1.0"]


def test_features_come_from_files_that_are_there(digits):
    """Breaks if a missing file of weights, or images too small for the network, end in a traceback."""
    recipe = made(load("emoji32"), *LPIPS)
    with pytest.raises(ValueError, match="weights of loss.features in no.pth, found no such file"):
        recipe.training.init(jax.random.key(0), {"x": np.zeros((2, 32, 32, 3), np.uint8)})
    with pytest.raises(ValueError, match="images of 16 pixels a side at least"):
        made(digits, *LPIPS)


def test_a_trained_model_opens_without_the_files_of_its_features(tmp_path, monkeypatch):
    """Breaks if a work directory is not complete by itself: the frozen network is in its checkpoint."""
    data = load("emoji32")
    config = override(default("autoencoder"), [*SMALL, *LPIPS, "ema=none"])
    run = Run(tmp_path / "run", config, data.spec, measure(config.data, data, 0))
    recipe = build(config, run.spec, run.statistics)
    with monkeypatch.context() as files:
        files.setattr(adversary, "state_dict", lambda path: {})
        files.setattr(adversary, "frozen_lpips", lambda *_: jax.tree.map(filled, adversary.shapes()))
        state = recipe.training.init(jax.random.key(0), None)
    publish(run, state)
    params = open_model(run.root).params
    assert jax.tree.structure(params["perceptual"]) == jax.tree.structure(adversary.shapes())
    kernel = params["perceptual"]["frozen"]["trunk"]["params"]["conv5_3"]["kernel"]
    assert kernel.shape == (3, 3, 512, 512) and jnp.all(kernel == 0.5)
    assert "perceptual" in info(run)


def filled(leaf):
    return jnp.full(leaf.shape, 0.5, leaf.dtype)


def test_the_shapes_of_the_features_are_those_of_their_files():
    """Breaks if a model is opened with other shapes than it was saved with."""
    state, channels = hashed.vgg16(), [stage[-1] for stage in STAGES]
    linear = {f"lin{i}.model.1.weight": np.ones((1, c, 1, 1), np.float32) for i, c in enumerate(channels)}
    read = jax.eval_shape(lambda: frozen_lpips(state, linear))
    assert read == adversary.shapes()
