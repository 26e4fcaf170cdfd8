r"""Exact likelihood by the probability-flow ODE (2011.13456 eq. 39; 1810.01367).

log p_t0(x(t0)) = log p_t1(x(t1)) + integral_t0^t1 div v(x(t), t) dt,      dx/dt = v(x, t)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.ode import integrate

Field = Callable[[Array], Array]  # x [...] -> v [...], one example


class Divergence(NamedTuple):
    """probe(keys [B], x [B, ...]) -> the random part [B, ...], drawn once per solve; estimate(v, x, probe) ->
    (v, div v), for one example."""

    probe: Callable[[Array, Array], Array]
    estimate: Callable[[Field, Array, Array], tuple[Array, Array]]


def exact(chunk: int = 64) -> Divergence:
    """div v = sum_i dv_i/dx_i: one forward derivative per dimension, `chunk` at a time."""

    def estimate(field: Field, x: Array, probe: Array) -> tuple[Array, Array]:
        v, push = jax.linearize(field, x)
        basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
        diagonal = jax.lax.map(lambda e: jnp.sum(e * push(e)), basis, batch_size=min(chunk, x.size))
        return v, jnp.sum(diagonal)

    return Divergence(lambda keys, x: jnp.zeros(x.shape[:1]), estimate)


def rademacher(keys: Array, x: Array) -> Array:
    """+1 or -1 with equal probability, each example from its own key."""
    return jax.vmap(lambda key: jax.random.rademacher(key, x.shape[1:], x.dtype))(keys)


def normal(keys: Array, x: Array) -> Array:
    """N(0, I), each example from its own key."""
    return jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))(keys)


def hutchinson(probe: Callable[[Array, Array], Array] = rademacher) -> Divergence:
    """div v estimated by e^T J e with one probe e of unit covariance per solve, unbiased (1810.01367 eq. 7)."""

    def estimate(field: Field, x: Array, probe: Array) -> tuple[Array, Array]:
        v, pushed = jax.jvp(field, (x,), (probe,))
        return v, jnp.sum(pushed * probe)

    return Divergence(probe, estimate)


class Likelihood(NamedTuple):
    """logp [B] in nats, the latent z [B, ...] at t1, and how often the network was called, [B]."""

    logp: Array
    latent: Array
    evaluations: Array


def likelihood(
    denoiser: Denoiser,
    x: Array,
    key: Array,
    divergence: Divergence | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    cond: Any = None,
) -> Likelihood:
    """log p_t0(x) in nats with its latent. x [B, ...]; key: one key, or one per example; default divergence
    `hutchinson()`. Every example is solved with its own step sizes."""
    sde = denoiser.sde
    divergence = hutchinson() if divergence is None else divergence
    keys = key if key.ndim else jax.random.split(key, x.shape[0])

    def one(x: Array, probe: Array, cond: Any) -> tuple[Array, Array, Array]:
        lifted = jax.tree.map(lambda leaf: leaf[None], cond)

        def field(t: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
            time = jnp.asarray(t, x.dtype)[None]
            return divergence.estimate(lambda x: denoiser.velocity(x[None], time, lifted)[0], state[0], probe)

        (z, change), count = integrate(field, (x, jnp.zeros((), x.dtype)), sde.t0, sde.t1, rtol, atol)
        return z, change, count

    z, change, count = jax.vmap(one)(x, divergence.probe(keys, x), cond)
    return Likelihood(sde.prior_logp(z) + change, z, count)


def log_prob(
    denoiser: Denoiser,
    x: Array,
    key: Array,
    divergence: Divergence | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    cond: Any = None,
) -> Array:
    """log p_t0(x) in nats, [B]; see `likelihood`."""
    return likelihood(denoiser, x, key, divergence, rtol, atol, cond).logp
