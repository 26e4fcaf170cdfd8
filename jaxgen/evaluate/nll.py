"""Likelihood at the edge: nats of a density become bits per dimension of an integer image."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxgen import gaussian
from jaxgen.losses.importance import log_mean


def bits_per_dim(logp: ArrayLike, dim: int, log_det: ArrayLike = 0.0) -> jax.Array:
    """-(log p(T(x + u)) + log |det dT/dx|) / (dim ln 2), [B] bits per dimension.

    The bound on -log2 P(x) / dim of the integer image x, bin width 1, by uniform dequantization u ~ U[0, 1)^dim
    (Theis et al. 2016, eq. 3-5). logp [B] is the density in nats at T(x + u), the space of the model, and
    log_det [B] or scalar that of T from integer levels: x / 127.5 - 1 has -dim log 127.5. For a probability
    of the integer image itself log_det is 0.
    """
    logp = jnp.asarray(logp)
    if logp.ndim != 1:
        raise ValueError(f"logp must be [B], one log-density in nats for each image, got shape {logp.shape}.")
    return -(logp + log_det) / (dim * math.log(2))


def discretized_gaussian(x: jax.Array, mean: jax.Array, log_std: jax.Array, levels: int = 256) -> jax.Array:
    """log P(x) of every element, nats: the mass of N(mean, std^2) between x - d and x + d, d = 1 / (levels - 1), the
    outermost bins open; x = 2 k / (levels - 1) - 1 (Ho et al. 2020, eq. 13). For `bits_per_dim` with log_det 0."""
    low, high = edges(x, levels)
    return gaussian.log_mass(low, high, mean, log_std)


def tanh_discretized_gaussian(x: jax.Array, mean: jax.Array, log_std: jax.Array, levels: int = 256) -> jax.Array:
    """`discretized_gaussian` as guided-diffusion publishes it: with (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2 for
    the distribution function, and no mass below 1e-12. It is off by 0.05 to 0.2 bits/dim."""

    def mass_below(edge: jax.Array) -> jax.Array:
        z = (edge - mean) * jnp.exp(-log_std)
        inner = 0.5 * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
        return jnp.where(jnp.isinf(edge), edge > 0, inner)

    low, high = edges(x, levels)
    return jnp.log(jnp.maximum(mass_below(high) - mass_below(low), 1e-12))


def edges(x: jax.Array, levels: int) -> tuple[jax.Array, jax.Array]:
    """The ends of the bin of each x, -inf and inf the outermost."""
    half = 1 / (levels - 1)
    return jnp.where(x < half - 1, -jnp.inf, x - half), jnp.where(x > 1 - half, jnp.inf, x + half)


def importance_weighted(logp: ArrayLike) -> jax.Array:
    """log 1/K sum_k exp(logp_k): nats [K, B] of K dequantizations (or latents) to [B] nats.

    A bound that tightens with K towards the log-probability of the bin (Burda et al. 2016, eq. 8; Hoogeboom
    et al. 2020). Each row is logp + log_det where the weights differ by it.
    """
    logp = jnp.asarray(logp)
    if logp.ndim != 2:
        raise ValueError(f"logp must be [K, B], K draws for each of B images, got shape {logp.shape}.")
    return log_mean(logp)
