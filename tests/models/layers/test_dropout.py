"""Dropout with one key per example."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.dropout import Dropout


class Twice(nn.Module):
    """Two dropout layers on the same input."""

    @nn.compact
    def __call__(self, h, keys):
        return Dropout(0.5)(h, keys), Dropout(0.5)(h, keys)


def test_mask_of_an_example_does_not_depend_on_its_batch(jit):
    """Otherwise gradients change with the number of devices and of accumulation steps."""
    h, keys = jnp.ones((6, 4, 5)), jax.random.split(jax.random.key(0), 6)
    apply = jit(Dropout(0.3).apply)
    whole = apply({}, h, keys)
    parts = [apply({}, h[i:j], keys[i:j]) for i, j in ((0, 1), (1, 4), (4, 6))]
    np.testing.assert_array_equal(whole, jnp.concatenate(parts))
    assert not jnp.array_equal(whole[0], whole[1])


def test_keeps_the_mean_and_drops_the_stated_fraction(jit):
    """A wrong rate or a missing 1 / (1 - rate) shifts every activation between training and sampling."""
    keys = jax.random.split(jax.random.key(1), 64)
    y = jit(Dropout(0.2).apply)({}, jnp.ones((64, 1000)), keys)
    assert abs(float((y == 0).mean()) - 0.2) < 0.01
    np.testing.assert_allclose(y[y != 0], 1.25, rtol=1e-6)


def test_layers_draw_different_masks_and_no_keys_is_the_identity(jit):
    """Equal masks in every layer would drop the same units together; sampling must have no dropout."""
    h, keys = jnp.ones((2, 100)), jax.random.split(jax.random.key(2), 2)
    first, second = jit(Twice().apply)({}, h, keys)
    assert not jnp.array_equal(first, second)
    np.testing.assert_array_equal(Twice().apply({}, h, None)[0], h)


def test_one_key_for_the_whole_batch_is_refused():
    """A single key would silently be reused or fail inside vmap."""
    with pytest.raises(ValueError, match="one key per example"):
        Dropout(0.5).apply({}, jnp.ones((3, 2)), jax.random.key(0))
