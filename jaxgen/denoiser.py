"""The one interface between networks and everything that uses them: a prediction of a known kind on a known SDE.

Samplers, guidance, likelihood and inverse problems consume a `Denoiser` and know nothing of the network behind it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.prediction import SCORE, VELOCITY, Prediction, convert, decode
from jaxgen.sde import SDE, expand, grid_of

Params = Any  # {network name: variables}
Apply = Callable[..., Array]  # (params, x [B, ...], label [B], cond, keys [B] | None) -> y [B, ...]
OfTime = Callable[[SDE, Array], Array]  # (sde, t [B]) -> [B]


def identity(sde: SDE, t: Array) -> Array:
    """The label is the time itself."""
    return t


def one(sde: SDE, t: Array) -> Array:
    """The input is not scaled."""
    return jnp.ones_like(t)


def times_999(sde: SDE, t: Array) -> Array:
    """999 t, as continuous VP and sub-VP models are told (2011.13456)."""
    return 999 * t


def noise_level(sde: SDE, t: Array) -> Array:
    """sigma(t), as continuous VE models are told (2011.13456)."""
    return sde.sigma(t)


def quarter_log_sigma(sde: SDE, t: Array) -> Array:
    """c_noise = log(sigma/alpha) / 4 (2206.00364 table 1)."""
    return -sde.log_snr(t) / 8


def fractional_index(sde: SDE, t: Array) -> Array:
    """The place of t on the grid, 0 .. N-1, as a fraction between grid times: what score_sde tells VP models that were
    trained on a table. Only for networks that embed it (2011.13456 table 4, "linear interpolation")."""
    grid = grid_of(sde)
    return (t - float(grid[0])) * float((len(grid) - 1) / (grid[-1] - grid[0]))


def grid_index(sde: SDE, t: Array) -> Array:
    """The index i in 0..N-1 of the nearest grid time, int32, as discrete-time models are told."""
    return jnp.round(fractional_index(sde, t)).astype(jnp.int32)


def reversed_index(sde: SDE, t: Array) -> Array:
    """N - 1 - i, as NCSN models are told, whose level 0 is the noisiest (1907.05600)."""
    return len(grid_of(sde)) - 1 - grid_index(sde, t)


def unit_variance(sigma_data: float) -> OfTime:
    """c_in = 1 / sqrt(alpha^2 sigma_data^2 + sigma^2), which gives the network inputs of unit variance (2206.00364)."""
    return lambda sde, t: 1 / jnp.sqrt(jnp.square(sde.alpha(t) * sigma_data) + jnp.square(sde.sigma(t)))


class Denoiser(NamedTuple):
    """fn(x [B, ...], t [B], cond) -> y [B, ...], the `prediction` of a process `sde`."""

    sde: SDE
    prediction: Prediction
    fn: Callable[[Array, Array, Any], Array]

    def estimate(self, x: Array, t: Array, cond: Any = None) -> tuple[Array, Array]:
        """(x_0, eps), both [B, ...], from one evaluation."""
        return decode(self.sde, self.prediction, self.fn(x, t, cond), x, t)

    def x0(self, x: Array, t: Array, cond: Any = None) -> Array:
        """E[x_0 | x_t]."""
        return self.estimate(x, t, cond)[0]

    def eps(self, x: Array, t: Array, cond: Any = None) -> Array:
        """E[eps | x_t]."""
        return self.estimate(x, t, cond)[1]

    def score(self, x: Array, t: Array, cond: Any = None) -> Array:
        """grad log p_t(x)."""
        return convert(self.sde, self.prediction, SCORE, self.fn(x, t, cond), x, t)

    def velocity(self, x: Array, t: Array, cond: Any = None) -> Array:
        """dx/dt of the probability-flow ODE."""
        return convert(self.sde, self.prediction, VELOCITY, self.fn(x, t, cond), x, t)


def level_posterior(
    apply: Apply, sde: SDE, levels: ArrayLike, label: OfTime = identity, scale_in: OfTime = one
) -> Apply:
    """E[x_0 | x_t] of data on K `levels`, from a network that gives K logits a channel: p(x_0i = l_k | x_t) is taken
    proportional to exp(logit_ik) N(x_ti; alpha l_k, sigma^2), so that nothing has to be learned where the noise is
    smaller than the distance of two levels (2107.00630 section 4.1, used there for z_0).

    The result is an `Apply` that predicts X0 and is told x_t and t themselves: label `identity`, scale_in `one`."""
    table = np.asarray(levels)

    def posterior_mean(params: Params, x: Array, t: Array, cond: Any = None, keys: Array | None = None) -> Array:
        logits = apply(params, expand(scale_in(sde, t), x) * x, label(sde, t), cond, keys)
        if logits.shape != (*x.shape[:-1], x.shape[-1] * len(table)):
            raise ValueError(
                f"level_posterior expects {len(table)} logits a channel, {(*x.shape[:-1], x.shape[-1] * len(table))}, "
                f"got {logits.shape}: give the network as many output channels."
            )
        place = jnp.asarray(table, x.dtype)
        distance = x[..., None] - expand(sde.alpha(t), x)[..., None] * place
        evidence = -0.5 * jnp.square(distance / expand(sde.sigma(t), x)[..., None])
        return jax.nn.softmax(logits.reshape(evidence.shape) + evidence) @ place

    return posterior_mean


def denoiser(
    apply: Apply, params: Params, sde: SDE, prediction: Prediction, label: OfTime = identity, scale_in: OfTime = one
) -> Denoiser:
    """The network `apply(params, scale_in(t) x, label(t), cond)` as a `Denoiser`."""

    def fn(x: Array, t: Array, cond: Any = None) -> Array:
        return apply(params, expand(scale_in(sde, t), x) * x, label(sde, t), cond)

    return Denoiser(sde, prediction, fn)
