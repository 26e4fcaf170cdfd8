r"""The denoising loss: DDPM, NCSN, score-SDE, EDM, flow matching and the continuous VLB are its arguments.

    l(x_0) = w(t) sum_or_mean_i (y_hat_i - y_i)^2,   y = a(t) x_0 + b(t) eps,   x_t = alpha(t) x_0 + sigma(t) eps

| objective | sde | prediction | times | weight |
|---|---|---|---|---|
| DDPM (2006.11239 eq. 14) | ddpm(betas) | EPS | uniform | ones |
| NCSN (1907.05600 eq. 5-6) | ncsn(sigmas) | SCORE | uniform | eps_matching |
| score-SDE (2011.13456 eq. 7) | vp, subvp, ve | EPS or SCORE | uniform | eps_matching |
| ... likelihood weighting (2101.09258) | vp, subvp, ve | EPS or SCORE | uniform or uniform_log_snr | likelihood |
| EDM (2206.00364 eq. 8) | edm | edm_output(sd) | lognormal | ones |
| flow matching (2210.02747 eq. 23) | rectified_flow | VELOCITY | uniform | ones |
| continuous VLB (2107.00630 eq. 17) | vdm | EPS | uniform | `vlb()`, `reduce=total` |
| discrete VLB, T steps (2107.00630 eq. 13) | any | any | `steps(T)` | `vlb(T)`, `reduce=total` |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.denoiser import Apply, OfTime, denoiser, identity, one
from jaxgen.losses.algebra import Aux, Batch, Params
from jaxgen.losses.times import Times, uniform
from jaxgen.prediction import Prediction, encode, eps_error_scale
from jaxgen.sde import SDE, derivative, expand

Weight = Callable[[SDE, Prediction, Array], Array]  # (sde, prediction, t [B]) -> [B]


def ones(sde: SDE, prediction: Prediction, t: Array) -> Array:
    """w = 1: the error of y counts as it is."""
    return jnp.ones_like(t)


def eps_matching(sde: SDE, prediction: Prediction, t: Array) -> Array:
    """w such that the error counts as |eps_hat - eps|^2, whatever is predicted."""
    return jnp.square(eps_error_scale(sde, prediction, t))


def likelihood(sde: SDE, prediction: Prediction, t: Array) -> Array:
    """w such that the error counts as g^2 |score_hat - score|^2 = -log_snr' |eps_hat - eps|^2 (2101.09258 eq. 8)."""
    return -derivative(sde.log_snr, t)[1] * eps_matching(sde, prediction, t)


def vlb(steps: int | None = None) -> Weight:
    """The weight of the variational bound for a total over dimensions: the mean loss is the diffusion term of
    -log p(x_0) in nats. Continuous time, with t ~ U[t0, t1]: (t1 - t0)/2 (-d log snr/dt) (2107.00630 eq. 17). T steps,
    with t drawn by `steps(T)` from their upper ends: T/2 (snr(t - d)/snr(t) - 1), d = (t1 - t0)/T (eq. 13)."""

    if steps is None:
        return lambda sde, prediction, t: 0.5 * (sde.t1 - sde.t0) * likelihood(sde, prediction, t)
    count = steps

    def discrete(sde: SDE, prediction: Prediction, t: Array) -> Array:
        earlier = jnp.maximum(t - (sde.t1 - sde.t0) / count, sde.t0)
        return 0.5 * count * jnp.expm1(sde.log_snr(earlier) - sde.log_snr(t)) * eps_matching(sde, prediction, t)

    return discrete


def mean(error: Array) -> Array:
    """Mean over all but the first axis. [B, ...] -> [B]."""
    return jnp.mean(error.reshape(error.shape[0], -1), axis=-1)


def total(error: Array) -> Array:
    """Sum over all but the first axis. [B, ...] -> [B]."""
    return jnp.sum(error.reshape(error.shape[0], -1), axis=-1)


def half_total(error: Array) -> Array:
    """Half the sum over all but the first axis, [B, ...] -> [B]: score_sde's reduce_mean=False. Adam does not see the
    factor, but clipping of the gradient does."""
    return 0.5 * total(error)


@dataclass(frozen=True)
class Denoising:
    """The denoising loss, and its deterministic inner part.

    `at(params, x0 [B, ...], eps [B, ...], t [B], cond=None, keys=None) -> [B]` has nothing random in it: `keys` only
    feed the network's dropout, and None turns that off.
    """

    at: Callable[..., Array]
    sde: SDE
    times: Times

    def __call__(self, params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        """batch["x"] [B, ...], optional batch["cond"]; draws t and eps from each example's key."""
        x0 = batch["x"]
        t, importance = self.times(keys, self.sde)
        eps = gaussian.noise(keys, 0xE950, x0.shape[1:], x0.dtype)
        return importance * self.at(params, x0, eps, t, batch.get("cond"), keys), Aux()


def denoising(
    apply: Apply,
    sde: SDE,
    prediction: Prediction,
    times: Times = uniform,
    weight: Weight = ones,
    label: OfTime = identity,
    scale_in: OfTime = one,
    reduce: Callable[[Array], Array] = mean,
) -> Denoising:
    """w(t) reduce((y_hat - y)^2) as a `Loss`; see the table above for the published objectives."""

    def at(params: Params, x0: Array, eps: Array, t: Array, cond: Any = None, keys: Array | None = None) -> Array:
        x = expand(sde.alpha(t), x0) * x0 + expand(sde.sigma(t), x0) * eps

        def trained(params: Params, x: Array, label: Array, cond: Any) -> Array:
            return apply(params, x, label, cond, keys)

        y_hat = denoiser(trained, params, sde, prediction, label, scale_in).fn(x, t, cond)
        error = jnp.square(y_hat - encode(sde, prediction, x0, eps, t))
        return weight(sde, prediction, t) * reduce(error)

    return Denoising(at, sde, times)
