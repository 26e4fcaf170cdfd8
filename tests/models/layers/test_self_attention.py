"""Self-attention of GANs against BigGAN's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.self_attention import SelfAttention


def test_attention_is_the_published_one(golden, x64):
    """Breaks if scores are scaled, pooled elsewhere, or the residual is weighted otherwise."""
    data = golden("families/gan_self_attention")
    maps = {
        name: {"kernel": jnp.asarray(data[f"param/{name}.weight"].transpose(2, 3, 1, 0))}
        for name in ("theta", "phi", "g", "o")
    }
    params = {**maps, "gamma": jnp.asarray(data["param/gamma"])}
    y = SelfAttention().apply({"params": params}, jnp.asarray(data["x"].transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(y, data["y"].transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-9)


def test_it_starts_as_nothing_and_refuses_what_it_cannot_split():
    """Breaks if a network with attention does not start as the one without, or fails without naming the layer."""
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 8))
    variables = SelfAttention().init(jax.random.key(1), x)
    np.testing.assert_array_equal(SelfAttention().apply(variables, x), x)
    with pytest.raises(ValueError, match="channels in multiples of 8, got 4x4x9"):
        SelfAttention().init(jax.random.key(0), jnp.zeros((1, 4, 4, 9)))
