"""Time, class and phase embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.embeddings import (
    ClassEmbedding,
    ConditionEmbedding,
    GaussianFourierProjection,
    fourier_features,
    positional_embedding,
)


@pytest.mark.parametrize("features", [16, 17, 128])
def test_positional_embedding_is_the_published_one(features, golden):
    """At t = 999 one float32 rounding of a frequency moves the embedding by 3e-5: the bound sees it."""
    data = golden("layers")
    y = positional_embedding(jnp.asarray(data["temb/t"]), features)
    np.testing.assert_allclose(y, data[f"temb/dim{features}"], atol=5e-7)


def test_fourier_embedding_is_the_published_one_and_frozen(golden, x64):
    """Other frequencies, or trained ones, would not be the published network."""
    data = golden("layers")
    variables, label = {"params": {"W": data["fourier/W"]}}, jnp.log(data["fourier/sigma"])
    projection = GaussianFourierProjection(8)
    np.testing.assert_allclose(projection.apply(variables, label), data["fourier/out_of_log_sigma"], atol=1e-12)
    gradient = jax.grad(lambda v: projection.apply(v, label).sum())(variables)
    assert not gradient["params"]["W"].any()


def test_fourier_features_resolve_the_last_bit_of_a_pixel():
    """Two neighbouring 8-bit levels must differ by much more in the features than in x."""
    x = jnp.array([[[[0.0]], [[2 / 255]]]])
    features = fourier_features(x, (7,))
    np.testing.assert_allclose(features[..., 1], jnp.sin(2**7 * jnp.pi * x[..., 0]), atol=1e-5)
    np.testing.assert_allclose(features[..., 2], jnp.cos(2**7 * jnp.pi * x[..., 0]), atol=1e-5)
    assert jnp.linalg.norm(features[0, 0] - features[0, 1]) > 100 * 2 / 255


@pytest.mark.parametrize("cond", [jnp.ones(2), jnp.ones((2, 10), int)])
def test_class_labels_must_be_one_integer_each(cond):
    """One-hot codes and floats would be looked up as nonsense."""
    with pytest.raises(ValueError, match="one integer class label per example"):
        ClassEmbedding(10, 4).init(jax.random.key(0), cond, 2)


def test_condition_for_a_network_without_classes_is_refused():
    """Otherwise a class-conditional run would train an unconditional network without a word."""
    with pytest.raises(ValueError, match="network without classes"):
        ConditionEmbedding(8).init(jax.random.key(0), jnp.ones(2), jnp.array([0, 1]))
