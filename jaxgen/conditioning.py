r"""Inverse problems on a frozen model: draws of p(x_0 | y) with y = A x_0 (+ noise), for every process and solver.

    replacement:   x_s <- x_s - A^+ (A x_s - y_s),   y_s = alpha_s y + sigma_s A z           after every step
    descent:       x_s <- x_s - zeta grad_{x_t} |y - A E[x_0 | x_t]|^2                       after every step
    guidance:      score + grad_x log p(y | x_t),    p(y | x_t) = N(A E[x_0 | x_t], V(t))    within every step

Replacement (2011.13456 appendix I.2-I.4) and descent (DPS, 2209.14687) change a `Solver`, guidance (PiGDM, Song et al.
2023) a `Denoiser`; `known` makes the measured part of the finished image the given one. A `Control` holds such changes,
and may hold all three.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser, OfTime
from jaxgen.guidance import Guidance
from jaxgen.operators import Operator
from jaxgen.prediction import decode, eps_error_scale
from jaxgen.sampling.sample import Draw, Finish, Memory, Solver
from jaxgen.sde import SDE, expand

Level = Callable[[Array, Array], Array]  # (t [B], s [B]) of a step -> the time of its measurement [B]


class Control(NamedTuple):
    """What steers a sampler: its denoiser, its solver and its finish, each replaced by a function of itself. `solver`
    is None where nothing happens between steps, so that the sampler need not have any."""

    denoiser: Guidance = lambda den: den
    solver: Callable[[Solver], Solver] | None = None
    finish: Callable[[Finish], Finish] = lambda finish: finish


def arrival(t: Array, s: Array) -> Array:
    """The time that the step leads to."""
    return s


def departure(t: Array, s: Array) -> Array:
    """The time that the step comes from: with this `level`, `replaced` puts into x_s the measurement of time t, as
    score_sde does."""
    return t


def replaced(operator: Operator, y: Array, level: Level = arrival) -> Callable[[Solver], Solver]:
    """A^+ A x_s <- A^+ (alpha y + sigma A z) after every step, with fresh noise z at the time `level` of the step
    (2011.13456 eq. 48 and appendix I.4). It composes: both partners of a predictor-corrector may be replaced.

    y: A x_0, [B, ...]. Nothing is to be done at the start: noised to t1, the measurement is the prior's own."""

    def wrap(solver: Solver) -> Solver:
        def step(
            den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
        ) -> tuple[Array, Memory]:
            x, memory = solver.step(den, memory, x, t, s, draw, cond)
            mean, std = den.sde.marginal(y, level(t, s))
            return operator.impose(x, mean + expand(std, y) * operator.forward(draw(solver.draws))), memory

        return solver._replace(step=step, draws=solver.draws + 1)

    return wrap


def dps(operator: Operator, y: Array, weight: float = 1.0) -> Callable[[Solver], Solver]:
    """Diffusion posterior sampling: x_s <- x_s - zeta grad_{x_t} |y - A x0_hat|^2 after every step, x0_hat =
    E[x_0 | x_t], zeta = weight / |y - A x0_hat| (2209.14687 algorithm 1). One more evaluation a step, and a gradient of
    the network.

    weight: the paper's zeta', which has the unit of an image's norm: each step takes up to 2 zeta' off the error (the
    released code, which descends the norm itself, half of that). zeta is at most what minimizes |y - A x| along the
    gradient: where the published step is longer, it jumps over the measurement, back and forth for ever. It is shorter
    on the paper's images, of 256 x 256 pixels with noise of 0.05 in y. Any process is read as its variance-preserving
    twin x / sqrt(alpha^2 + sigma^2), which is the paper's: the same noise levels give the same images."""
    tiny = jnp.finfo(y.dtype).tiny

    def square(v: Array) -> Array:
        return jnp.sum(jnp.square(v).reshape(v.shape[0], -1), axis=-1)

    def wrap(solver: Solver) -> Solver:
        def step(
            den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
        ) -> tuple[Array, Memory]:
            error, pull = jax.vjp(lambda x: y - operator.forward(den.x0(x, t, cond)), x)
            (slope,) = pull(error)  # of |error|^2 / 2
            back = operator.adjoint(error)
            nearest = square(back) / (square(operator.forward(back)) + tiny)
            length = jnp.minimum(2 * weight / (jnp.sqrt(square(error)) + tiny), nearest)
            units = jnp.hypot(den.sde.alpha(t), den.sde.sigma(t)) * jnp.hypot(den.sde.alpha(s), den.sde.sigma(s))
            x, memory = solver.step(den, memory, x, t, s, draw, cond)
            return x - expand(length * units, x) * slope, memory

        return solver._replace(step=step, evaluations=solver.evaluations + 1)

    return wrap


def known(operator: Operator, y: Array) -> Callable[[Finish], Finish]:
    """Finish with an image that measures y exactly: x - A^+ (A x - y)."""

    def wrap(finish: Finish) -> Finish:
        def finished(den: Denoiser, memory: Memory, x: Array, t: Array, cond: Any) -> Array:
            return operator.impose(finish(den, memory, x, t, cond), y)

        return finished

    return wrap


def posterior_variance(sigma_data: float = 1.0) -> OfTime:
    """r^2 = s^2 sd^2 / (s^2 + sd^2) with s = sigma/alpha: the variance of p(x_0 | x_t) for data N(m, sd^2 I)."""

    def variance(sde: SDE, t: Array) -> Array:
        return 1 / (sde.snr(t) + 1 / sigma_data**2)

    return variance


def pigdm(
    operator: Operator, y: Array, variance: OfTime | None = None, noise: float = 0.0, weight: float = 1.0
) -> Guidance:
    """Pseudoinverse guidance: p(y | x_t) = N(A x0_hat, r^2 A A^T + noise^2 I), x0_hat = E[x_0 | x_t]
    (Song et al. 2023, eq. 7; eq. 8 where noise = 0). For Gaussian data N(m, sd^2 I) and r^2 = `posterior_variance(sd)`,
    here with sd = 1 the default, this is the exact posterior. One gradient of the network an evaluation.

    noise: the standard deviation of the noise in y. weight: of the guidance; 1 is the posterior."""
    spread = variance or posterior_variance()

    def guide(den: Denoiser) -> Denoiser:
        sde, prediction = den.sde, den.prediction

        def fn(x: Array, t: Array, cond: Any = None) -> Array:
            def estimate(x: Array) -> tuple[Array, Array]:
                output = den.fn(x, t, cond)
                return decode(sde, prediction, output, x, t)[0], output

            x0, pull, output = jax.vjp(estimate, x, has_aux=True)
            r2 = spread(sde, t)
            error = operator.solve(y - operator.forward(x0), noise**2 / r2)
            (gradient,) = pull(expand(weight / r2, x0) * operator.adjoint(error))
            # score = -eps / sigma, so that the prediction changes by -sigma / (d eps / d prediction) times the gradient
            return output - expand(sde.sigma(t) / eps_error_scale(sde, prediction, t), x) * gradient

        return den._replace(fn=fn)

    return guide
