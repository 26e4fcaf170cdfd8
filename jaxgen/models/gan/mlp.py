"""Generator and critic of fully connected layers, for images small enough to be flattened.

    G(z, c) = tanh(W h_n),  h_0 = [z, E c]        D(x, c) = w . h_n + E c . h_n,  h_0 = x   (projection)
    h_{i+1} = leaky_relu(W_i h_i + b_i)           D(x, c) = w . h_n,  h_0 = [x, E c]        (concatenation)

Source: Goodfellow et al. 2014, "Generative Adversarial Networks", section 5; classes by concatenation as in Mirza and
Osindero 2014 (1411.1784), by projection as in Miyato and Koyama 2018 (1802.05637), eq. (4).
"""

import math
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.features import show
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized

CONDITIONINGS = "projection", "concatenation"


class Layer(nn.Module):
    """leaky_relu(W h + b), slope 0.2, [B, D] -> [B, width]."""

    width: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        dense = nn.Dense(self.width, kernel_init=nn.initializers.he_normal(), dtype=self.dtype)
        return nn.leaky_relu(dense(h), 0.2)


class MLPGenerator(nn.Module):
    """z: [B, latent], cond: int [B] or None -> images [B, *shape] in (-1, 1), float32. The embedding of a class has
    `embedding` features. Nothing here depends on `keys` or `train`."""

    shape: tuple[int, int, int]
    latent: int = 64
    num_classes: int = 0
    width: int = 256
    layers: int = 2
    embedding: int = 32
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        label = labels(cond, self.num_classes, z.shape[0])
        h = z
        if label is not None:
            h = jnp.concatenate([h, nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)(label)], axis=-1)
        for _ in range(self.layers):
            h = rematerialized(Layer, self.remat)(self.width, dtype=self.dtype)(h)
        h = nn.Dense(math.prod(self.shape), dtype=self.dtype)(h).reshape(-1, *self.shape)
        return jnp.tanh(h.astype(jnp.promote_types(h.dtype, jnp.float32)))


class MLPCritic(nn.Module):
    """x: [B, H, W, C], cond: int [B] or None -> logits [B], float32. Its features are the layers, [B, width]."""

    num_classes: int = 0
    width: int = 256
    layers: int = 2
    conditioning: str = "projection"
    embedding: int = 32  # features of a class under "concatenation"; a projection has those of the layers
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        if self.conditioning not in CONDITIONINGS:
            raise ValueError(f"expected conditioning 'projection' or 'concatenation', got {self.conditioning!r}.")
        label = labels(cond, self.num_classes, x.shape[0])
        embed = partial(nn.Embed, self.num_classes, dtype=self.dtype)
        h = x.reshape(x.shape[0], -1)
        if label is not None and self.conditioning == "concatenation":
            h = jnp.concatenate([h, embed(self.embedding)(label)], axis=-1)
        for _ in range(self.layers):
            h = show(self, rematerialized(Layer, self.remat)(self.width, dtype=self.dtype)(h))
        logits = nn.Dense(1, dtype=self.dtype)(h)[:, 0]
        if label is not None and self.conditioning == "projection":
            logits += jnp.sum(embed(self.width)(label) * h, axis=-1)
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
