r"""Gaussian diffusion processes as two functions of time.

    dx = f(t) x dt + g(t) dw,        x_t = alpha(t) x_0 + sigma(t) eps,   eps ~ N(0, I),   t in [t0, t1]

Training and sampling only ever need the marginal, so an `SDE` *is* the pair (alpha, sigma). Everything else is derived:

    f = alpha' / alpha        g^2 = 2 sigma sigma' - 2 f sigma^2        snr = alpha^2 / sigma^2

Derivatives are taken by `jax.jvp`, never written twice; 1 - exp(-B) is formed as exp(log1mexp(B)), whose slope, unlike
that of expm1, keeps its digits in float32. Times have shape [B], data [B, ...].

Sources: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2011.13456), eqs. 9,
11, 27-29 (VE, VP, sub-VP); Karras et al. (2206.00364) (EDM); Kingma et al. (2107.00630) (log-SNR, VDM); Nichol &
Dhariwal (2102.09672) eq. 17 (cosine); Lipman et al. (2210.02747), Liu et al. (2209.03003) (rectified flow); Ho et al.
(2006.11239) (DDPM); Song & Ermon (1907.05600) (NCSN).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import log1mexp
from jax.typing import ArrayLike

Schedule = Callable[[Array], Array]  # t -> value, elementwise
Drift = Callable[[Array, Array], Array]  # (x [B, ...], t [B]) -> [B, ...]


class Reverse(NamedTuple):
    """A reverse-time process: dx = drift(x, t) dt + diffusion(t) dw_bar, integrated from t1 down to t0."""

    drift: Drift
    diffusion: Schedule


class SDE(NamedTuple):
    """x_t = alpha(t) x_0 + sigma(t) eps on t in [t0, t1]; `grid` holds the N times of a discretized process.

    `prior_std` is the standard deviation of the distribution that sampling starts from and likelihood ends in.
    """

    alpha: Schedule
    sigma: Schedule
    t0: float
    t1: float
    prior_std: float = 1.0
    grid: np.ndarray | None = None

    def drift(self, x: Array, t: Array) -> Array:
        """f(t) x, with f = alpha'/alpha. x [B, ...], t [B] -> [B, ...]."""
        return expand(log_slope(self.alpha, t), x) * x

    def diffusion(self, t: Array) -> Array:
        """g(t) = sqrt(2 sigma sigma' - 2 f sigma^2). t [B] -> [B]."""
        sigma, slope = derivative(self.sigma, t)
        return jnp.sqrt(jnp.maximum(2 * sigma * (slope - log_slope(self.alpha, t) * sigma), 0))

    def marginal(self, x0: Array, t: Array) -> tuple[Array, Array]:
        """Mean [B, ...] and standard deviation [B] of p(x_t | x_0)."""
        return expand(self.alpha(t), x0) * x0, self.sigma(t)

    def snr(self, t: Array) -> Array:
        """alpha^2 / sigma^2, the signal-to-noise ratio. t [B] -> [B]."""
        return jnp.square(self.alpha(t) / self.sigma(t))

    def log_snr(self, t: Array) -> Array:
        """lambda(t) = 2 log(alpha / sigma), decreasing in t. t [B] -> [B]."""
        return 2 * (jnp.log(self.alpha(t)) - jnp.log(self.sigma(t)))

    def time_at(self, log_snr: Array) -> Array:
        """The inverse of `log_snr`, by bisection on [t0, t1] (values outside are clipped). [B] -> [B]."""
        log_snr = jnp.asarray(log_snr)

        def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            middle = (low + high) / 2
            late = self.log_snr(middle) < log_snr
            return jnp.where(late, low, middle), jnp.where(late, middle, high)

        bounds = jnp.full_like(log_snr, self.t0), jnp.full_like(log_snr, self.t1)
        low, high = jax.lax.fori_loop(0, jnp.finfo(log_snr.dtype).nmant + 16, halve, bounds)
        return (low + high) / 2

    def prior_sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """A draw of N(0, prior_std^2 I) of the given shape."""
        return self.prior_std * jax.random.normal(key, shape)

    def prior_logp(self, z: Array) -> Array:
        """log N(z; 0, prior_std^2 I) in nats, summed over all but the first axis. z [B, ...] -> [B]."""
        dim = math.prod(z.shape[1:])
        square = jnp.sum(jnp.square(z.reshape(z.shape[0], -1)), axis=-1) / self.prior_std**2
        return -0.5 * (square + dim * math.log(2 * math.pi * self.prior_std**2))

    def transition(self, t: Array, s: Array) -> tuple[Array, Array]:
        """(r, v) of the exact forward kernel p(x_s | x_t) = N(r x_t, v I) for t <= s: r = alpha_s/alpha_t,
        v = sigma_s^2 - r^2 sigma_t^2. All of shape [B]."""
        ratio = self.alpha(s) / self.alpha(t)
        return ratio, jnp.maximum(jnp.square(self.sigma(s)) - jnp.square(ratio * self.sigma(t)), 0)

    def discretize_step(self, x: Array, t: Array, s: Array) -> tuple[Array, Array]:
        """(f, G) with x_s = x_t + f + G z, the exact forward step from t to s >= t. f [B, ...], G [B]."""
        ratio, variance = self.transition(t, s)
        return expand(ratio - 1, x) * x, jnp.sqrt(variance)

    def posterior(self, x0: Array, x: Array, t: Array, s: Array) -> tuple[Array, Array]:
        """Mean [B, ...] and standard deviation [B] of p(x_s | x_t = x, x_0) for s <= t (2006.11239 eq. 7)."""
        ratio, variance = self.transition(s, t)
        var_t, var_s = jnp.square(self.sigma(t)), jnp.square(self.sigma(s))
        kept = ratio * var_s / var_t
        mean = expand(kept, x) * x + expand(self.alpha(s) * variance / var_t, x) * x0
        return mean, jnp.sqrt(variance * var_s / var_t)

    def velocity(self, x: Array, score: Array, t: Array) -> Array:
        """dx/dt = f x - g^2 score / 2 of the probability-flow ODE (2011.13456 eq. 13). -> [B, ...]."""
        return self.drift(x, t) - 0.5 * expand(jnp.square(self.diffusion(t)), x) * score

    def reverse(self, score: Drift, stochasticity: float = 1.0) -> Reverse:
        """The reverse process dx = [f x - (1 + k^2)/2 g^2 score] dt + k g dw_bar of stochasticity k: 1 is the reverse
        SDE (2011.13456 eq. 6), 0 the probability-flow ODE (eq. 13); all have the same marginals."""

        def drift(x: Array, t: Array) -> Array:
            pull = 0.5 * (1 + stochasticity**2) * jnp.square(self.diffusion(t))
            return self.drift(x, t) - expand(pull, x) * score(x, t)

        return Reverse(drift, lambda t: stochasticity * self.diffusion(t))


def grid_of(sde: SDE) -> np.ndarray:
    """The times of a discretized process. Raises ValueError for a continuous one."""
    if sde.grid is None:
        raise ValueError(
            "expected a discretized process, got one in continuous time: build it with ddpm, ncsn or discretize."
        )
    return sde.grid


def expand(value: Array, x: Array) -> Array:
    """`value` [B] shaped so that it broadcasts against x [B, ...]."""
    return value.reshape(value.shape + (1,) * (x.ndim - value.ndim))


def derivative(fn: Schedule, t: Array) -> tuple[Array, Array]:
    """(fn(t), fn'(t)) of an elementwise function."""
    return jax.jvp(fn, (t,), (jnp.ones_like(t),))


def log_slope(fn: Schedule, t: Array) -> Array:
    """fn'(t) / fn(t)."""
    value, slope = derivative(fn, t)
    return slope / value


def _integrated_beta(beta_min: float, beta_max: float) -> Schedule:
    return lambda t: t * beta_min + 0.5 * t**2 * (beta_max - beta_min)


def vp(beta_min: float = 0.1, beta_max: float = 20.0, t0: float = 1e-5, t1: float = 1.0) -> SDE:
    """Variance preserving: alpha = exp(-B/2), sigma = sqrt(1 - exp(-B)), B = integral of beta (2011.13456 eq. 29)."""
    integral = _integrated_beta(beta_min, beta_max)
    return SDE(
        alpha=lambda t: jnp.exp(-0.5 * integral(t)), sigma=lambda t: jnp.exp(0.5 * log1mexp(integral(t))), t0=t0, t1=t1
    )


def subvp(beta_min: float = 0.1, beta_max: float = 20.0, t0: float = 1e-5, t1: float = 1.0) -> SDE:
    """sub-VP: alpha = exp(-B/2), sigma = 1 - exp(-B), B = integral of beta (2011.13456 eq. 29)."""
    integral = _integrated_beta(beta_min, beta_max)
    return SDE(
        alpha=lambda t: jnp.exp(-0.5 * integral(t)), sigma=lambda t: jnp.exp(log1mexp(integral(t))), t0=t0, t1=t1
    )


def ve(sigma_min: float = 0.01, sigma_max: float = 50.0, t0: float = 1e-5, t1: float = 1.0) -> SDE:
    """Variance exploding: alpha = 1, sigma = sigma_min (sigma_max / sigma_min)^t (2011.13456 eq. 29)."""
    log_ratio = math.log(sigma_max / sigma_min)
    return SDE(
        alpha=jnp.ones_like, sigma=lambda t: sigma_min * jnp.exp(t * log_ratio), t0=t0, t1=t1, prior_std=sigma_max
    )


def edm(sigma_min: float = 0.002, sigma_max: float = 80.0) -> SDE:
    """EDM: alpha = 1, sigma = t; time is the noise level itself (2206.00364 section 3)."""
    return SDE(alpha=jnp.ones_like, sigma=lambda t: t, t0=sigma_min, t1=sigma_max, prior_std=sigma_max)


def cosine(offset: float = 0.008, t0: float = 1e-3, t1: float = 1 - 1e-3) -> SDE:
    """alpha = cos(a(t)) / cos(a(0)), a(t) = pi/2 (t + offset)/(1 + offset), sigma = sqrt(1 - alpha^2)
    (2102.09672 eq. 17).

    cos(a_t) is formed as sin(a_1 - a_t) and sigma as sqrt(sin(a_t - a_0) sin(a_t + a_0)) / cos(a_0), which keep their
    digits as t -> 1 and t -> 0.
    """
    start = 0.5 * math.pi * offset / (1 + offset)
    rate = 0.5 * math.pi / (1 + offset)
    return SDE(
        alpha=lambda t: jnp.sin(rate * (1 - t)) / math.cos(start),
        sigma=lambda t: jnp.sqrt(jnp.sin(rate * t) * jnp.sin(rate * t + 2 * start)) / math.cos(start),
        t0=t0,
        t1=t1,
    )


def rectified_flow(t0: float = 1e-3, t1: float = 1 - 1e-3) -> SDE:
    """alpha = 1 - t, sigma = t: straight paths from data to noise (2209.03003, 2210.02747).

    The default end points stay inside (0, 1), where every prediction is defined; X0, V and VELOCITY also stand t1 = 1.
    """
    return SDE(alpha=lambda t: 1 - t, sigma=lambda t: t, t0=t0, t1=t1)


def linear_gamma(gamma_min: float = -13.3, gamma_max: float = 5.0) -> Schedule:
    """gamma(t) = gamma_min + (gamma_max - gamma_min) t, the fixed schedule of 2107.00630 (section H)."""
    return lambda t: gamma_min + (gamma_max - gamma_min) * t


def vdm(gamma: Schedule | None = None) -> SDE:
    """alpha = sqrt(sigmoid(-gamma(t))), sigma = sqrt(sigmoid(gamma(t))), gamma = -log snr increasing on [0, 1]
    (2107.00630 eq. 3). `gamma` may close over parameters that are learned; default `linear_gamma()`."""
    gamma = gamma or linear_gamma()
    return SDE(
        alpha=lambda t: jnp.exp(0.5 * jax.nn.log_sigmoid(-gamma(t))),
        sigma=lambda t: jnp.exp(0.5 * jax.nn.log_sigmoid(gamma(t))),
        t0=0.0,
        t1=1.0,
    )


def _table(values: np.ndarray) -> Schedule:
    """The piecewise-linear function through `values` at i / (N - 1). The rises are formed in float64, so that the slope
    keeps its digits in float32."""
    rises = np.diff(values)

    def schedule(t: Array) -> Array:
        position = t * len(rises)
        index = jnp.clip(position.astype(jnp.int32), 0, len(rises) - 1)
        return jnp.asarray(values, t.dtype)[index] + (position - index) * jnp.asarray(rises, t.dtype)[index]

    return schedule


def ddpm(betas: ArrayLike) -> SDE:
    """sqrt(alpha_bar_i), sqrt(1 - alpha_bar_i) with alpha_bar_i = prod_{j <= i} (1 - beta_j), at t = i / (N - 1)
    (2006.11239 eq. 4). Between grid points log alpha is interpolated linearly."""
    betas = np.asarray(betas, np.float64)
    if not np.all((betas > 0) & (betas < 1)):
        raise ValueError(f"ddpm expects betas between 0 and 1, got {betas.min():.3g} to {betas.max():.3g}; use more.")
    log_alpha = 0.5 * np.cumsum(np.log1p(-betas))
    schedule = _table(log_alpha)
    return SDE(
        alpha=lambda t: jnp.exp(schedule(t)),
        sigma=lambda t: jnp.exp(0.5 * log1mexp(-2 * schedule(t))),
        t0=0.0,
        t1=1.0,
        grid=np.linspace(0, 1, len(log_alpha)),
    )


def ncsn(sigmas: ArrayLike) -> SDE:
    """alpha = 1, sigma = sigma_i (ascending) at t = i / (N - 1), log sigma linear between (1907.05600)."""
    table = np.asarray(sigmas, np.float64)
    if not np.all(np.diff(table) > 0):
        raise ValueError("ncsn expects its noise levels in ascending order; pass sorted(sigmas).")
    schedule = _table(np.log(table))
    return SDE(
        alpha=jnp.ones_like,
        sigma=lambda t: jnp.exp(schedule(t)),
        t0=0.0,
        t1=1.0,
        prior_std=float(table[-1]),
        grid=np.linspace(0, 1, len(table)),
    )


def discretize(sde: SDE, n: int) -> SDE:
    """`sde` restricted to n equally spaced times: training draws them, ancestral samplers step between them."""
    return sde._replace(grid=np.linspace(sde.t0, sde.t1, n))


def linear_betas(n: int = 1000, beta_min: float = 0.1, beta_max: float = 20.0) -> np.ndarray:
    """beta_i from beta_min/n to beta_max/n in equal steps: 1e-4 to 0.02 for n = 1000 (2006.11239 section 4)."""
    return np.linspace(beta_min / n, beta_max / n, n)


def cosine_betas(n: int = 1000, offset: float = 0.008, largest: float = 0.999) -> np.ndarray:
    """beta_i = min(1 - alpha_bar((i+1)/n) / alpha_bar(i/n), largest), alpha_bar(t) = cos^2(pi/2 (t+offset)/(1+offset))
    (2102.09672 eq. 17)."""
    alpha_bar = np.cos(0.5 * np.pi * (np.arange(n + 1) / n + offset) / (1 + offset)) ** 2
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], largest)


def geometric_sigmas(n: int = 1000, sigma_min: float = 0.01, sigma_max: float = 50.0) -> np.ndarray:
    """n noise levels from sigma_min to sigma_max in equal ratios (1907.05600 section 4)."""
    return np.geomspace(sigma_min, sigma_max, n)
