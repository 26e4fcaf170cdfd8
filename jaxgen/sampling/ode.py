r"""The probability-flow ODE dx/dt = alpha' x0 + sigma' eps, solved adaptively on the device (2011.13456 section 4.3).

Every example is solved with its own step sizes, so a result does not depend on its batch.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.ode import integrate
from jaxgen.sampling.sample import Finish, clean, prior


def flow(
    denoiser: Denoiser, x: Array, start: float, end: float, cond: Any = None, rtol: float = 1e-5, atol: float = 1e-5
) -> tuple[Array, Array]:
    """x [B, ...] carried along the probability flow from time `start` to `end` -> (x [B, ...], evaluations [B])."""

    def one(x: Array, cond: Any) -> tuple[Array, Array]:
        def field(t: Array, x: Array) -> Array:
            lifted = jax.tree.map(lambda leaf: leaf[None], cond)
            return denoiser.velocity(x[None], jnp.asarray(t, x.dtype)[None], lifted)[0]

        return integrate(field, x, start, end, rtol, atol)

    return jax.vmap(one)(x, cond)


def probability_flow(
    denoiser: Denoiser,
    key: Array,
    shape: tuple[int, ...],
    rtol: float = 1e-5,
    atol: float = 1e-5,
    cond: Any = None,
    x: Array | None = None,
    finish: Finish = clean,
    end: float | None = None,
) -> Array:
    """A sample by the probability-flow ODE from t1 to `end` (default: t0) -> [B, ...]. key: one key, or one per image;
    x: the latent at t1 (default: a draw of the prior)."""
    sde = denoiser.sde
    end = sde.t0 if end is None else end
    if x is None:
        keys = key if key.ndim else jax.random.split(key, shape[0])
        x = prior(denoiser, keys, shape)
    x, _ = flow(denoiser, x, sde.t1, end, cond, rtol, atol)
    return finish(denoiser, x, x, jnp.full(shape[:1], end, x.dtype), cond)


def latent(denoiser: Denoiser, x: Array, cond: Any = None, rtol: float = 1e-5, atol: float = 1e-5) -> Array:
    """The inverse of `probability_flow`: x [B, ...] at t0 carried to its latent at t1."""
    return flow(denoiser, x, denoiser.sde.t0, denoiser.sde.t1, cond, rtol, atol)[0]
