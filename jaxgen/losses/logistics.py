r"""Logistic distributions of the levels of a pixel, and mixtures of them over its channels.

    P(x) = F(x + d) - F(x - d),   F(x) = sigmoid((x - mean) / scale),   d = 1/(levels - 1),   x in [-1, 1]

Source: Salimans et al. 2017, "PixelCNN++", sections 2.1 and 2.2, with the numbers of its code.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

FLOOR = -7.0  # of log scales


def log_bin(x: Array, mean: Array, log_scale: Array, levels: int) -> Array:
    """log(F(x + d) - F(x - d)), d = 1/(levels - 1), of a logistic, element by element; the outermost bins are open.
    Where the bin holds less than 1e-5, the density in its middle times its width."""
    half = 1 / (levels - 1)
    inverse, centred = jnp.exp(-jnp.maximum(log_scale, FLOOR)), x - mean
    upper, lower, middle = (inverse * (centred + offset) for offset in (half, -half, 0))
    share = jax.nn.sigmoid(upper) - jax.nn.sigmoid(lower)
    density = middle - jnp.maximum(log_scale, FLOOR) - 2 * jax.nn.softplus(middle) + math.log(2 * half)
    inner = jnp.where(share > 1e-5, jnp.log(jnp.maximum(share, 1e-12)), density)
    edges = jnp.where(x > 1 - half, jax.nn.log_sigmoid(-lower), inner)
    return jnp.where(x < -1 + half, jax.nn.log_sigmoid(upper), edges)


def settled(x: Array, levels: int) -> Array:
    """The nearest level."""
    n = levels - 1
    return 2 * jnp.clip(jnp.round(0.5 * n * (x + 1)), 0, n) / n - 1


class Mixture(NamedTuple):
    """K components of C channels: logits [..., K], the others [..., C, K]; one channel has no couplings."""

    logits: Array
    means: Array
    log_scales: Array
    couplings: Array | None

    def mean(self, c: int, seen: Sequence[Array]) -> Array:
        """The means of channel c, [..., K], which move with the values `seen` of the channels before it."""
        moved = self.means[..., c, :]
        for i in range(c):
            assert self.couplings is not None
            moved = moved + self.couplings[..., c * (c - 1) // 2 + i, :] * seen[i]
        return moved


def unpack(parameters: Array, mixtures: int) -> Mixture:
    """The mixture of parameters [..., 3 K] for one channel, [..., 10 K] for three."""
    blocks = 2 if parameters.shape[-1] == 3 * mixtures else 3
    rest = parameters[..., mixtures:].reshape(*parameters.shape[:-1], -1, blocks, mixtures)
    couplings = jnp.tanh(rest[..., 2, :]) if blocks == 3 else None
    return Mixture(parameters[..., :mixtures], rest[..., 0, :], jnp.maximum(rest[..., 1, :], FLOOR), couplings)


def drawn(mixture: Mixture, gumbel: Array, logistic: Array, settle: Callable[[Array], Array]) -> Array:
    """The image [..., C] of standard Gumbel [..., K] and logistic [..., C] noise; `settle` acts on a channel before the
    next one moves with it."""
    index = jnp.argmax(mixture.logits + gumbel, axis=-1)[..., None, None]
    logits = mixture.logits[..., None, :]
    one = jax.tree.map(lambda leaf: jnp.take_along_axis(leaf, index, axis=-1), mixture._replace(logits=logits))
    x: list[Array] = []
    for c in range(logistic.shape[-1]):
        noise = jnp.exp(one.log_scales[..., c, :]) * logistic[..., c, None]
        x.append(settle(one.mean(c, x) + noise))
    return jnp.concatenate(x, axis=-1)
