r"""The mean of an estimate over a step, from its values at a few times: what every solver of higher order needs.

Along the probability flow, with lambda = log(alpha/sigma),

    d(x/sigma) = x0 d rho,  rho = e^lambda            d(x/alpha) = eps d rho,  rho = e^-lambda

so a step from t to s is "decode at t, re-encode at s" with the mean of x0, or of eps, over rho (2206.00927 eq. 3.4,
2211.01095 eq. 8). The polynomial in u through the estimates f_j of the times u_j has the mean sum_j w_j f_j, where

    sum_j w_j tau_j^i = m_i,    tau = (u - u_t) / (u_s - u_t),    m_i = (mean of tau^i over rho),    i = 0 .. k - 1

The variable u and the moments m_i are all in which published methods differ: polynomials in lambda are exponential
integrators (DPM-Solver, DEIS, UniPC), in rho Adams-Bashforth (LMS), in the number of the step PNDM's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.prediction import X0, Prediction
from jaxgen.sde import SDE, derivative

_ROOTS, _MASSES = np.polynomial.legendre.leggauss(16)
TAU, LOG_MASS = 0.5 * (_ROOTS + 1), np.log(0.5 * _MASSES)  # Gauss-Legendre on [0, 1]

Rule = Callable[[int, Array], Sequence[ArrayLike]]  # (k, z [B]) -> m_0 .. m_{k-1}, each a number or [B]


class Step(NamedTuple):
    """One step from t to s [B], the i-th of its run, as `Axis` sees it. rho grows as e^{sign lambda}; z is the log of
    the factor by which the estimate's weight grows along the step: sign (lambda_s - lambda_t) without noise."""

    sde: SDE
    sign: float
    i: Array
    t: Array
    s: Array
    z: Array


class Axis(NamedTuple):
    """The variable u of the polynomial: position(sde, sign, t [B], i) -> [B], and the moments(k, step) over it."""

    position: Callable[[SDE, float, Array, Array], Array]
    moments: Callable[[int, Step], Sequence[ArrayLike]]


def sign_of(prediction: Prediction) -> float:
    """rho = e^lambda for X0, e^-lambda for EPS."""
    return 1.0 if prediction is X0 else -1.0


def half_log_snr(sde: SDE, t: Array) -> Array:
    """lambda = log(alpha/sigma), half of `sde.log_snr`: the solvers' papers' lambda."""
    return 0.5 * sde.log_snr(t)


def lagrange(nodes: Sequence[Array], moments: Sequence[ArrayLike]) -> Array:
    """w [k, B] with sum_j w_j tau_j^i = m_i: the moments of the Lagrange polynomials of k distinct nodes [B]."""
    weights = []
    for j, node in enumerate(nodes):
        nothing = jnp.zeros_like(node)
        numerator, denominator = [jnp.ones_like(node)], jnp.ones_like(node)
        for other in [*nodes[:j], *nodes[j + 1 :]]:
            # Coefficients of the product of all (tau - other), of rising powers.
            numerator = [a - other * b for a, b in zip([nothing, *numerator], [*numerator, nothing], strict=True)]
            denominator = denominator * (node - other)
        weights.append(sum((c * m for c, m in zip(numerator, moments, strict=True)), nothing) / denominator)
    return jnp.stack(weights)


def mean_powers(k: int, log_density: Array) -> list[Array]:
    """m_0 .. m_{k-1}, the means of tau^i under a density on [0, 1]: its log at TAU, [16, B], up to a constant."""
    share = jax.nn.softmax(jnp.asarray(LOG_MASS, log_density.dtype)[:, None] + log_density, axis=0)
    powers = jnp.asarray(TAU, share.dtype) ** jnp.arange(k, dtype=share.dtype)[:, None]
    return list(powers @ share)


def exact(k: int, z: Array) -> Sequence[ArrayLike]:
    """The moments of d rho = e^{z tau} d tau: phi functions, without their cancellation at small z."""
    return mean_powers(k, jnp.asarray(TAU, z.dtype)[:, None] * z)


def in_log_snr(rule: Rule = exact) -> Axis:
    """u = lambda: exponential integrators, with the moments of `rule`."""
    return Axis(lambda sde, sign, t, i: half_log_snr(sde, t), lambda k, step: rule(k, step.z))


def _rho(sde: SDE, sign: float, t: Array, i: Array) -> Array:
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    return alpha / sigma if sign > 0 else sigma / alpha


def _density_in_time(step: Step) -> Array:
    """log |d rho / dt| at TAU [16, B]."""
    t = step.t + jnp.asarray(TAU, step.t.dtype)[:, None] * (step.s - step.t)
    value, slope = derivative(step.sde.log_snr, t)
    return 0.5 * step.sign * value + jnp.log(jnp.abs(slope))


in_rho = Axis(_rho, lambda k, step: [1 / (i + 1) for i in range(k)])  # u = rho
in_time = Axis(lambda sde, sign, t, i: t, lambda k, step: mean_powers(k, _density_in_time(step)))  # u = t
in_steps = Axis(  # u = the number of the step, as if all were of one length in rho
    lambda sde, sign, t, i: jnp.full_like(t, i), lambda k, step: [1 / (i + 1) for i in range(k)]
)
