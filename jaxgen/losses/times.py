"""At which times a diffusion model is trained: (keys [B], sde) -> (t [B], w [B]).

w is the importance weight dU/dp of the draw against the uniform density on [t0, t1], so E_p[w l(t)] = E_U[l(t)]
whatever the proposal. Proposals that *define* the objective instead (EDM's log-normal, logit-normal) have w = 1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.losses.algebra import draw
from jaxgen.sde import SDE, derivative

Times = Callable[[Array, SDE], tuple[Array, Array]]

_SALT = 0x7173


def _unit(keys: Array) -> Array:
    return draw(keys, _SALT, jax.random.uniform)


def _normal(keys: Array) -> Array:
    return draw(keys, _SALT, jax.random.normal)


def uniform(keys: Array, sde: SDE) -> tuple[Array, Array]:
    """t ~ U[t0, t1], or uniform over the grid of a discretized process."""
    u = _unit(keys)
    if sde.grid is None:
        t = sde.t0 + (sde.t1 - sde.t0) * u
    else:
        n = len(sde.grid)
        t = jnp.asarray(sde.grid, u.dtype)[jnp.minimum((u * n).astype(jnp.int32), n - 1)]
    return t, jnp.ones_like(t)


def uniform_log_snr(keys: Array, sde: SDE) -> tuple[Array, Array]:
    """log snr(t) ~ U, that is p(t) proportional to -d log snr/dt = g^2/sigma^2: the variance-reducing proposal for
    likelihood weighting (2101.09258 section 5.1), under which that weight becomes a constant."""
    ends = sde.log_snr(jnp.asarray([sde.t1, sde.t0]))
    low, high = ends[0], ends[1]
    t = sde.time_at(low + (high - low) * _unit(keys))
    return t, (high - low) / ((sde.t1 - sde.t0) * -derivative(sde.log_snr, t)[1])


def lognormal(mean: float = -1.2, std: float = 1.2) -> Times:
    """log(sigma/alpha) ~ N(mean, std^2) (2206.00364 table 1: P_mean, P_std)."""

    def times(keys: Array, sde: SDE) -> tuple[Array, Array]:
        t = sde.time_at(-2 * (mean + std * _normal(keys)))
        return t, jnp.ones_like(t)

    return times


def logit_normal(mean: float = 0.0, std: float = 1.0) -> Times:
    """logit of (t - t0)/(t1 - t0) ~ N(mean, std^2) (2403.03206 eq. 19)."""

    def times(keys: Array, sde: SDE) -> tuple[Array, Array]:
        t = sde.t0 + (sde.t1 - sde.t0) * jax.nn.sigmoid(mean + std * _normal(keys))
        return t, jnp.ones_like(t)

    return times


def steps(n: int) -> Times:
    """t uniform over the upper ends t0 + (t1 - t0) i/n, i = 1..n, of n equal steps (2107.00630 eq. 13)."""

    def times(keys: Array, sde: SDE) -> tuple[Array, Array]:
        index = jnp.minimum(jnp.floor(_unit(keys) * n), n - 1) + 1
        t = sde.t0 + (sde.t1 - sde.t0) * index / n
        return t, jnp.ones_like(t)

    return times
