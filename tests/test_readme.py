"""What the README shows is run as it stands."""

import ast
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.recognition.vgg import STAGES

README = Path(__file__).parent.parent / "README.md"
LIBRARY, GAN, TCVAE, VQGAN = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def run(code: str, names: dict) -> dict:
    exec(compile(code, str(README), "exec"), names)
    return names


def statements(code: str) -> list[ast.stmt]:
    return [one for one in ast.parse(code).body if not isinstance(one, ast.Import | ast.ImportFrom)]


def test_the_library_in_thirty_lines():
    """The README's example trains a model whose samples and likelihoods are those of digits."""
    lines = [line for line in LIBRARY.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 30
    names = run(LIBRARY, {})
    x, images = np.asarray(names["x"][:1437]), np.asarray(names["images"])
    assert float(names["metrics"]["loss"]) < 0.5
    # The pixels that are blank in every digit are blank in the samples, and the ink is where digits have it.
    np.testing.assert_allclose(images.mean(0), x.mean(0), atol=0.3)
    nats = np.asarray(names["nats"])
    assert np.all(np.isfinite(nats)) and nats.mean() > 0  # a standard normal would give about -100


@pytest.fixture(scope="module")
def names():
    """What the examples of losses find: the imports of the first example, its data, and a state dict of no use."""
    imports = [one for one in ast.parse(LIBRARY).body if isinstance(one, ast.Import | ast.ImportFrom)]
    found = run(ast.unparse(ast.Module(imports + statements(LIBRARY)[:1], [])), {})
    rng, at, inputs, vgg = np.random.default_rng(0), 0, 3, {}
    for stage in STAGES:
        for features in stage:
            scale = (2 / (9 * inputs)) ** 0.5
            vgg[f"features.{at}.weight"] = scale * rng.standard_normal((features, inputs, 3, 3), np.float32)
            vgg[f"features.{at}.bias"] = np.zeros(features, np.float32)
            at, inputs = at + 2, features
        at += 1
    heads = {f"lin{i}.model.1.weight": np.ones((1, stage[-1], 1, 1), np.float32) for i, stage in enumerate(STAGES)}
    return {**found, "vgg": vgg, "heads": heads}


@pytest.mark.parametrize("code", [GAN, TCVAE, VQGAN], ids=["gan", "tcvae", "vqgan"])
def test_a_composed_loss_takes_ten_lines(code):
    assert len(statements(code)) <= 10


def trained(training, x, steps: int):
    """(state, metrics) on batches of 128 of x."""
    key = jax.random.key(0)
    state, step = training.init(key, {"x": x[:2]}), jax.jit(training.step)
    for i in range(steps):
        state, metrics = step(state, {"x": x[jax.random.randint(jax.random.fold_in(key, i), (128,), 0, 1437)]}, key)
    return state, metrics


def test_wgan_gp_with_feature_matching_learns(names):
    """Breaks if one of the pieces it is made of is missing, or if together they do not lead the fakes to the data."""
    made = run(GAN, dict(names))
    state, metrics = trained(made["gan"], made["x"], 300)
    assert {"gp", "matching", "loss/critic", "loss/generator", "logits/real", "fake_std"} <= set(metrics)
    assert metrics["matching"].every == 5 and float(metrics["gp"]) >= 0
    fakes = made["G"].apply(state.params["generator"], jax.random.normal(jax.random.key(1), (256, 64)))
    assert float(jnp.abs(fakes.mean(0) - made["x"].mean(0)).mean()) < 0.15


def test_beta_tcvae_learns(names):
    """Breaks if the three parts of the divergence are not what weighs against the distortion."""
    made = run(TCVAE, run(GAN, dict(names)))
    state, metrics = trained(made["tcvae"], made["x"], 300)
    total = metrics["distortion"] + metrics["mutual_information"] + metrics["dimension_wise"]
    weighed = total + (1 + 5 * 299 / 1000) * metrics["total_correlation"]
    np.testing.assert_allclose(metrics["loss"], weighed, rtol=1e-4)
    assert float(metrics["distortion"]) < 100  # nats; 106 with independent pixels


def test_vqgan_moves_autoencoder_and_critic_and_nothing_else(names, jit):
    """Breaks if the reconstruction, the distance of features, the codebook and the balanced critic do not fit together,
    or if the network that only looks is trained."""
    made = run(VQGAN, run(GAN, dict(names)))
    key = jax.random.key(0)
    batch = {"x": jax.random.uniform(key, (2, 16, 16, 3), minval=-1.0)}
    state = jit(made["vq"].init)(key, batch)
    new, metrics = jit(made["vq"].step)(state, batch, key)
    assert float(metrics["adaptive_weight"]) > 0 and float(metrics["lpips"]) > 0 and 1 <= float(metrics["perplexity"])

    def moved(name):
        pairs = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), (state.params[name]), (new.params[name]))
        return jax.tree.leaves(pairs)

    assert all(moved("net")) and any(moved("critic"))
    jax.tree.map(np.testing.assert_array_equal, new.extra["perceptual"], state.extra["perceptual"])
