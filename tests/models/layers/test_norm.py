"""Group normalization."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.norm import GroupNorm


@pytest.mark.parametrize("shape", [(2, 4, 6, 16), (3, 8), (2, 5, 160)])
def test_agrees_with_the_reference_for_images_points_and_sequences(shape):
    """Moments over the wrong axes or groups change every network built on it."""
    channels = shape[-1]
    keys = jax.random.split(jax.random.key(0), 3)
    h = 3 * jax.random.normal(keys[0], shape) + 1
    params = {
        "scale": jax.random.normal(keys[1], (channels,)),
        "bias": jax.random.normal(keys[2], (channels,)),
    }
    reference = nn.GroupNorm(num_groups=min(channels // 4, 32), epsilon=1e-6)
    y = GroupNorm().apply({"params": params}, h)
    np.testing.assert_allclose(y, reference.apply({"params": params}, h), rtol=1e-4, atol=1e-5)


def test_groups_and_epsilon_may_be_given():
    """DDPM has 32 groups at any width, and the classifier a larger epsilon: other moments are other networks."""
    h = 0.01 * jax.random.normal(jax.random.key(0), (2, 4, 4, 64))
    params = {"scale": jnp.ones(64), "bias": jnp.zeros(64)}
    reference = nn.GroupNorm(num_groups=32, epsilon=1e-5)
    y = GroupNorm(groups=32, epsilon=1e-5).apply({"params": params}, h)
    np.testing.assert_allclose(y, reference.apply({"params": params}, h), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="32 groups divide, got 48"):
        GroupNorm(groups=32).init(jax.random.key(0), jnp.zeros((1, 48)))


def test_moments_of_bfloat16_input_are_float32():
    """bfloat16 sums stop growing at 256 terms: the mean of a constant map would be far off."""
    h = jnp.full((1, 64, 64, 4), 3.0, jnp.bfloat16).at[:, :32].set(1.0)
    y = GroupNorm().apply({"params": {"scale": jnp.ones(4), "bias": jnp.zeros(4)}}, h)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(jnp.unique(y).astype(jnp.float32), [-1.0, 1.0], atol=1e-2)


def test_channels_that_do_not_split_are_refused():
    """Otherwise the reshape fails without naming the layer or the remedy."""
    with pytest.raises(ValueError, match="got 9"):
        GroupNorm().init(jax.random.key(0), jnp.zeros((1, 2, 2, 9)))
