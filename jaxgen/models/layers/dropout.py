"""Dropout with one key per example."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.models.layers.salt import salt


class Dropout(nn.Module):
    """h_i m_i / (1 - rate), with m_i ~ Bernoulli(1 - rate) drawn from example i's own key.

    h: [B, ...]; keys: [B] typed keys, or None for the deterministic network. The mask of example i depends on
    keys[i] and on the place of the layer in the network (its module path), and on nothing else: not on the
    batch around it, the number of devices or the size of a micro-batch.

    Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    """

    rate: float

    @nn.compact
    def __call__(self, h: Array, keys: Array | None = None) -> Array:
        if keys is None or self.rate == 0.0:
            return h
        if keys.shape != h.shape[:1]:
            raise ValueError(
                f"dropout takes one key per example: expected keys of shape {h.shape[:1]}, got {keys.shape}; "
                "split the step's key with jax.random.split(key, batch_size)"
            )
        place = salt(self)

        def mask(key: Array) -> Array:
            return jax.random.bernoulli(jax.random.fold_in(key, place), 1.0 - self.rate, h.shape[1:])

        return jnp.where(jax.vmap(mask)(keys), h / (1.0 - self.rate), 0.0).astype(h.dtype)
