r"""Closed-form diffusion of a Gaussian mixture: what a perfect network would say, under any process.

    p(x_0) = sum_k w_k N(m_k, diag s_k^2)  =>  p_t(x) = sum_k w_k N(alpha m_k, diag v_k), v_k = alpha^2 s_k^2 + sigma^2

    E[x_0 | x] = sum_k r_k (m_k + alpha s_k^2 (x - alpha m_k) / v_k)      r_k = p(k | x_t = x)
    E[eps | x] = sum_k r_k sigma (x - alpha m_k) / v_k                    score = -E[eps | x] / sigma

Everything follows the dtype of x. A condition [B] of ints asks for one component; a negative one for the whole mixture.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import EPS, Prediction, encode
from jaxgen.sde import SDE, expand


class Mixture(NamedTuple):
    """weights [K], means [K, ...], stds of the shape of means."""

    weights: np.ndarray
    means: np.ndarray
    stds: np.ndarray


def mixture(weights: ArrayLike, means: ArrayLike, stds: ArrayLike) -> Mixture:
    """weights [K] (any positive numbers), means [K, ...], stds [K] (isotropic) or [K, ...] (one per dimension)."""
    weights, means, stds = (np.asarray(value, np.float64) for value in (weights, means, stds))
    stds = stds.reshape(stds.shape + (1,) * (means.ndim - stds.ndim))
    return Mixture(weights / weights.sum(), means, np.broadcast_to(stds, means.shape))


def ring(modes: int = 8, radius: float = 2.0, std: float = 0.2) -> Mixture:
    """`modes` equal Gaussians on a circle of the plane."""
    angle = 2 * np.pi * np.arange(modes) / modes
    return mixture(np.ones(modes), radius * np.stack([np.cos(angle), np.sin(angle)], -1), np.full(modes, std))


def sample_data(data: Mixture, key: Array, n: int, dtype: str = "float32") -> tuple[Array, Array]:
    """(x [n, ...], component [n]) of n draws of the mixture."""
    key_component, key_noise = jax.random.split(key)
    component = jax.random.categorical(key_component, jnp.log(jnp.asarray(data.weights, dtype)), shape=(n,))
    noise = jax.random.normal(key_noise, (n, *data.means.shape[1:]), dtype)
    return jnp.asarray(data.means, dtype)[component] + jnp.asarray(data.stds, dtype)[component] * noise, component


def log_density(data: Mixture, x: Array, alpha: Array | float = 1.0, sigma: Array | float = 0.0) -> Array:
    """log density in nats of alpha x_0 + sigma eps (default: of the data) at x [B, ...]; alpha, sigma scalar or [B]."""
    return jax.nn.logsumexp(_terms(data, x, alpha, sigma)[0], axis=0)


def log_prob_at(data: Mixture, sde: SDE, x: Array, t: Array) -> Array:
    """log p_t(x) in nats. x [B, ...], t [B] -> [B]."""
    return log_density(data, x, sde.alpha(t), sde.sigma(t))


def component_logp(data: Mixture, sde: SDE, x: Array, t: Array, cond: Array) -> Array:
    """log p(k = cond | x_t = x), the exact time-dependent classifier. cond [B] int -> [B]."""
    joint = _terms(data, x, sde.alpha(t), sde.sigma(t))[0]
    return jnp.take_along_axis(jax.nn.log_softmax(joint, axis=0), cond[None], axis=0)[0]


def posterior_mean(data: Mixture, sde: SDE, x: Array, t: Array, cond: Array | None = None) -> tuple[Array, Array]:
    """(E[x_0 | x], E[eps | x]), both [B, ...], each by its own formula, so neither is a difference of large terms."""
    alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
    joint, residual, means, stds, variance = _terms(data, x, sde.alpha(t), sde.sigma(t))
    if cond is not None:
        component = jnp.arange(len(data.weights))[:, None]
        joint = jnp.where((cond < 0) | (component == cond), joint, -jnp.inf)
    share = jax.nn.softmax(joint, axis=0)
    share = share.reshape(share.shape + (1,) * (x.ndim - 1))
    x0 = jnp.sum(share * (means + alpha * stds**2 * residual / variance), axis=0)
    return x0, jnp.sum(share * sigma * residual / variance, axis=0)


def mixture_denoiser(
    sde: SDE, weights: ArrayLike, means: ArrayLike, stds: ArrayLike, prediction: Prediction = EPS
) -> Denoiser:
    """The Bayes-optimal `Denoiser` of the mixture, telling its estimate as `prediction`."""
    return exact_denoiser(sde, mixture(weights, means, stds), prediction)


def exact_denoiser(sde: SDE, data: Mixture, prediction: Prediction = EPS) -> Denoiser:
    """`mixture_denoiser` of a `Mixture`."""

    def fn(x: Array, t: Array, cond: Array | None = None) -> Array:
        return encode(sde, prediction, *posterior_mean(data, sde, x, t, cond), t)

    return Denoiser(sde, prediction, fn)


def _terms(data: Mixture, x: Array, alpha: Array | float, sigma: Array | float) -> tuple[Array, ...]:
    """log w_k N(x; alpha m_k, v_k) [K, B], x - alpha m_k [K, B, ...], m_k, s_k [K, 1, ...] and v_k [K, B, ...]."""
    weights, means, stds = (jnp.asarray(value, x.dtype) for value in data)
    means, stds = means[:, None], stds[:, None]
    alpha, sigma = (expand(jnp.broadcast_to(jnp.asarray(value, x.dtype), x.shape[:1]), x) for value in (alpha, sigma))
    variance = jnp.square(alpha * stds) + jnp.square(sigma)
    residual = x - alpha * means
    energy = jnp.square(residual) / variance + jnp.log(variance)
    energy = jnp.sum(energy.reshape(*energy.shape[:2], -1), axis=-1) + math.prod(x.shape[1:]) * math.log(2 * math.pi)
    return jnp.log(weights)[:, None] - 0.5 * energy, residual, means, stds, variance
