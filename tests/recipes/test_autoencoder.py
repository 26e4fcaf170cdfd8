"""The recipe of an autoencoder, as configurations name it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import call, default, override
from jaxgen.data import describe
from jaxgen.recipes import Statistics, build

STATISTICS = Statistics(np.zeros((8, 8, 1), np.float32), 0.5)
SMALL = ["model.channels=8", "model.blocks=1", "model.width=4", "model.halvings=1", "ema=none", "train.batch_size=4"]


def recipe(*overrides, quantizer=None):
    config = default("autoencoder")
    config.model = call("vqvae", quantizer=quantizer or call("moving_average", size=8, dim=4))
    return build(override(config, [*SMALL, *overrides]), describe("digits", "train", None, None, None), STATISTICS)


def test_what_is_encoded_and_decoded_is_whole_levels(jit):
    """`decode` of `encode` are images as the data have them, and `codes` are those that they were decoded from."""
    made = recipe(quantizer=call("residual", quantizer=call("moving_average", size=8, dim=4), stages=2))
    x = jax.random.randint(jax.random.key(0), (4, 8, 8, 1), 0, 17)
    keys = jax.random.split(jax.random.key(1), 4)
    state = jit(made.training.init)(jax.random.key(2), {"x": x})
    params = {"autoencoder": {**state.params["autoencoder"], **state.extra["autoencoder"]}}
    z = jit(made.encode)(params, keys, x, None)
    image = jit(made.decode)(params, z, None, None)
    np.testing.assert_array_equal(image, jnp.clip(jnp.round(image), 0, 16))
    codes = jit(made.codes)(params, keys, x, None)
    assert made.codebooks == (8, 8)
    books = [params["autoencoder"]["codebook"]["quantizer"][f"stage_{i}"]["sums"] for i in (0, 1)]
    np.testing.assert_allclose(z, books[0][codes[0]] + books[1][codes[1]], atol=1e-5)


@pytest.mark.parametrize(
    "quantizer",
    [
        call("vector", size=8, dim=4, beta=0.1),
        call("finite_scalar", levels=(4, 3)),
        call("lookup_free", bits=3),
        call("gumbel", size=8, temperature=call("exponential", start=1.0, end=0.0625, steps=100)),
        call("residual", quantizer="vector", stages=2),
        call("gaussian", dim=2),
    ],
)
def test_every_quantizer_trains_by_its_name(quantizer):
    """A name, or an argument that is itself a call, that does not reach its quantizer is an error at the first step."""
    made = recipe(quantizer=quantizer)
    batch = {"x": jax.ShapeDtypeStruct((4, 8, 8, 1), jnp.uint8)}
    state = jax.eval_shape(made.training.init, jax.random.key(0), None)
    _, metrics = jax.eval_shape(made.training.step, state, batch, jax.random.key(0))
    assert {"loss", "reconstruction", "quantization"} <= set(metrics)
    assert (made.codes is None) == (quantizer.name == "gaussian")


def test_sums_are_of_the_whole_batch(jit):
    """With gradients accumulated over parts a codebook must count the vectors of the batch: the batch size of the
    training reaches the quantizer, however deep in the configuration it is."""
    counts = []
    for parts in (1, 4):
        quantizer = call("residual", quantizer=call("moving_average", size=8, dim=4), stages=2)
        made = recipe(f"parallel.accumulate={parts}", quantizer=quantizer)
        x = jax.random.randint(jax.random.key(0), (4, 8, 8, 1), 0, 17)
        state = jit(made.training.init)(jax.random.key(2), {"x": x})
        state, _ = jit(made.training.step)(state, {"x": x}, jax.random.key(0))
        books = state.extra["autoencoder"]["codebook"]["quantizer"]
        counts.append([float(books[f"stage_{i}"]["counts"].sum()) for i in (0, 1)])
    assert counts[0] == counts[1] == pytest.approx([64, 64])


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data.conditional=True"], "told no class"),
        (["model=mlp"], "model=mlp is no autoencoder: take model=mlp_autoencoder or vqvae"),
        (["model.quantizer=vectors"], "unknown model.quantizer 'vectors': did you mean 'vector'"),
        (["loss.reconstruction=l3"], "unknown loss.reconstruction 'l3'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(overrides, sentence):
    """Breaks if a mistake in a configuration ends in a traceback."""
    config = default("autoencoder")
    spec = describe("digits", "train", None, None, None)
    with pytest.raises(ValueError, match=sentence):
        build(override(config, overrides), spec, STATISTICS)
