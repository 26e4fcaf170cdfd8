r"""What a network predicts: one linear form of the clean datum and the noise.

    y = a(t) x_0 + b(t) eps,        x_t = alpha(t) x_0 + sigma(t) eps

(x_t, y) is a basis of span{x_0, eps}, so every conversion is one 2x2 solve with determinant alpha b - sigma a:

    x_0 = (b x_t - sigma y) / (alpha b - sigma a)        eps = (alpha y - a x_t) / (alpha b - sigma a)

| prediction | a | b | source |
|---|---|---|---|
| X0 | 1 | 0 | |
| EPS | 0 | 1 | 2006.11239 |
| SCORE | 0 | -1/sigma | 2011.13456 |
| V | -sigma | alpha | 2202.00512 appendix D |
| VELOCITY | alpha' | sigma' | 2210.02747 |
| edm_output(sd) | (1 - c_skip)/c_out | -c_skip sigma/c_out | 2206.00364 eq. 7 |
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxgen.sde import SDE, derivative, expand

Prediction = Callable[[SDE, Array], tuple[Array, Array]]  # (sde, t [B]) -> (a [B], b [B])


def X0(sde: SDE, t: Array) -> tuple[Array, Array]:
    """y = x_0."""
    return jnp.ones_like(t), jnp.zeros_like(t)


def EPS(sde: SDE, t: Array) -> tuple[Array, Array]:
    """y = eps."""
    return jnp.zeros_like(t), jnp.ones_like(t)


def SCORE(sde: SDE, t: Array) -> tuple[Array, Array]:
    """y = grad log p(x_t | x_0) = -eps / sigma."""
    return jnp.zeros_like(t), -1 / sde.sigma(t)


def V(sde: SDE, t: Array) -> tuple[Array, Array]:
    """y = alpha eps - sigma x_0."""
    return -sde.sigma(t), sde.alpha(t)


def VELOCITY(sde: SDE, t: Array) -> tuple[Array, Array]:
    """y = dx_t/dt = alpha' x_0 + sigma' eps."""
    return derivative(sde.alpha, t)[1], derivative(sde.sigma, t)[1]


def edm_output(sigma_data: float) -> Prediction:
    """The raw output F of an EDM-preconditioned network: x_0 = c_skip x + c_out F, with x = x_t/alpha and noise level
    sigma/alpha, c_skip = sd^2/(sigma^2 + sd^2), c_out = sigma sd/sqrt(sigma^2 + sd^2) (2206.00364 table 1)."""

    def prediction(sde: SDE, t: Array) -> tuple[Array, Array]:
        sigma = sde.sigma(t) / sde.alpha(t)
        # (1 - c_skip)/c_out = sigma/(sd norm) and c_skip sigma/c_out = sd/norm, with norm = sqrt(sigma^2 + sd^2)
        norm = jnp.sqrt(sigma**2 + sigma_data**2)
        return sigma / (sigma_data * norm), -sigma_data / norm

    return prediction


def encode(sde: SDE, prediction: Prediction, x0: Array, eps: Array, t: Array) -> Array:
    """y = a(t) x_0 + b(t) eps. x0, eps [B, ...], t [B] -> [B, ...]."""
    a, b = prediction(sde, t)
    return expand(a, x0) * x0 + expand(b, x0) * eps


def decode(sde: SDE, prediction: Prediction, y: Array, x: Array, t: Array) -> tuple[Array, Array]:
    """(x_0, eps) from the prediction y and x_t = x. y, x [B, ...], t [B]."""
    a, b = prediction(sde, t)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    determinant = alpha * b - sigma * a
    x0 = expand(b / determinant, x) * x - expand(sigma / determinant, x) * y
    eps = expand(alpha / determinant, x) * y - expand(a / determinant, x) * x
    return x0, eps


def convert(sde: SDE, frm: Prediction, to: Prediction, y: Array, x: Array, t: Array) -> Array:
    """The same estimate, told as prediction `to` instead of `frm`. y, x [B, ...], t [B] -> [B, ...]."""
    x0, eps = decode(sde, frm, y, x, t)
    return encode(sde, to, x0, eps, t)


def eps_error_scale(sde: SDE, prediction: Prediction, t: Array) -> Array:
    """d eps / d y at fixed x_t = alpha / (alpha b - sigma a): turns an error of y into one of eps. t [B] -> [B]."""
    a, b = prediction(sde, t)
    alpha = sde.alpha(t)
    return alpha / (alpha * b - sde.sigma(t) * a)
