r"""Langevin correctors at one noise level, and their pairing with predictors (2011.13456 algorithms 1, 4, 5).

x <- x + e score(x, t) + sqrt(2 e) z
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser, OfTime, one
from jaxgen.sampling.sample import Draw, Memory, Solver
from jaxgen.sampling.solvers import nothing
from jaxgen.sde import SDE, expand


def batch_mean(norms: Array) -> Array:
    """One step size from the mean norms of the whole batch."""
    return jnp.full_like(norms, jnp.mean(norms))


def each(norms: Array) -> Array:
    """Every example has its own step size: independent of the batch, but wild where a score of few numbers vanishes."""
    return norms


def langevin(
    snr: float = 0.16, steps: int = 1, scale: OfTime = one, norm: Callable[[Array], Array] = batch_mean
) -> Solver:
    """e = 2 scale(t) (snr |z| / |score|)^2 (2011.13456 algorithm 4; score_sde's VP takes scale = 1 - beta_i). The norms
    are the batch's means; `annealed_langevin` is the variant in which image i ignores its batch."""

    def length(sde: SDE, t: Array, score: Array, z: Array) -> Array:
        def size(x: Array) -> Array:
            return norm(jnp.linalg.norm(x.reshape(x.shape[0], -1), axis=-1))

        return 2 * scale(sde, t) * jnp.square(snr * size(z) / size(score))

    return _corrector(length, steps)


def annealed_langevin(snr: float = 0.16, steps: int = 1, scale: OfTime = one) -> Solver:
    """e = 2 scale(t) (snr sigma(t))^2 (1907.05600 algorithm 1, in 2011.13456's normalization)."""
    return _corrector(lambda sde, t, score, z: 2 * scale(sde, t) * jnp.square(snr * sde.sigma(t)), steps)


def _corrector(length: Callable[[SDE, Array, Array, Array], Array], steps: int) -> Solver:
    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        def body(x: Array, n: Array) -> tuple[Array, None]:
            score, z = den.score(x, t, cond), draw(n)
            size = expand(length(den.sde, t, score, z), x)
            return x + size * score + jnp.sqrt(2 * size) * z, None

        return jax.lax.scan(body, x, jnp.arange(steps))[0], memory

    return Solver(nothing, step, draws=steps, evaluations=steps)


def predictor_corrector(predictor: Solver, corrector: Solver) -> Solver:
    """Predict from t to s, then correct at s (2011.13456 algorithm 1)."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        x, memory = predictor.step(den, memory, x, t, s, draw, cond)
        return corrector.step(den, (), x, s, s, lambda n: draw(predictor.draws + n), cond)[0], memory

    return _pair(predictor, corrector, step)


def corrector_predictor(corrector: Solver, predictor: Solver) -> Solver:
    """Correct at t, then predict from t to s: the order of score_sde's code."""

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        x, _ = corrector.step(den, (), x, t, t, draw, cond)
        return predictor.step(den, memory, x, t, s, lambda n: draw(corrector.draws + n), cond)

    return _pair(predictor, corrector, step)


def _pair(predictor: Solver, corrector: Solver, step: Callable[..., tuple[Array, Memory]]) -> Solver:
    return Solver(
        predictor.init,
        step,
        predictor.draws + corrector.draws,
        predictor.evaluations + corrector.evaluations,
        predictor.warm_up + corrector.warm_up,
    )
