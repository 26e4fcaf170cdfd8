r"""The predictor-corrector sampler of score_sde, as it was published (2011.13456 appendices E-G and its code).

    for t in linspace(1, end, n):  x <- correct(x, t),  x <- predict(x, t)

The images of its tables were drawn in this way, which differs from `predictor_corrector` on a uniform grid:

* the corrector comes before the predictor, and the last time is predicted from as well;
* predictors read tables of n scales at i = trunc(t (n - 1)), and Euler's step is 1/n, whatever the times are;
* the step of Langevin correctors shrinks by 1 - beta_i;
* a model trained on a table is told t (n - 1) as it is, but its score has the sigma of the truncated index;
* noise is removed by leaving out that of the last predictor step (`last_mean`), so that "none" removes nothing.

Evaluations are counted as they are made: n without a corrector. Two things that ended in an error or in NaN there work
here: sub-VP takes Langevin correctors with the 1 - beta_i of its drift, which is VP's; and VP with n <= beta_max, whose
tables do not exist, is refused with the solver that fits.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import SCORE
from jaxgen.sampling.langevin import annealed_langevin, corrector_predictor, langevin
from jaxgen.sampling.sample import Draw, Finish, Memory, Solver
from jaxgen.sampling.steps import (
    ancestral,
    euler_maruyama,
    large,
    reverse_diffusion,
    small,
    stay,
    table_index,
    truncated_index,
)
from jaxgen.sde import SDE, ddpm, grid_of, log_slope, ncsn

PREDICTORS = "euler_maruyama", "reverse_diffusion", "ancestral_sampling", "none"
CORRECTORS = "langevin", "ald", "none"


def score_sde(
    sde: SDE,
    n: int,
    predictor: str = "reverse_diffusion",
    corrector: str = "langevin",
    snr: float = 0.16,
    corrector_steps: int = 1,
    stochasticity: float = 1.0,
) -> Solver:
    """One step of the published sampler with n scales, for `times(sde, n)` and the finish `last_mean` (or `as_it_is`,
    its noise_removal=False). stochasticity 0 is its probability_flow=True. Raises ValueError where `sde` lacks the
    tables that a predictor or corrector reads."""
    if sde.t1 != 1:
        raise ValueError(
            f"score_sde's sampler knows VE, VP and sub-VP processes on times up to 1, got another one on [{sde.t0:g}, "
            f"{sde.t1:g}]: take predictor_corrector, ddim or heun, which run on every process."
        )
    pair = corrector_predictor(
        correct(sde, n, corrector, snr, corrector_steps), predict(sde, n, predictor, stochasticity)
    )

    def step(
        den: Denoiser, memory: Memory, x: Array, t: Array, s: Array, draw: Draw, cond: Any
    ) -> tuple[Array, Memory]:
        return pair.step(den if den.sde.grid is None else truncated_score(den), memory, x, t, s, draw, cond)

    return pair._replace(step=step)


def times(sde: SDE, n: int, end: float = 1e-3) -> Array:
    """linspace(t1, end, n) and then 0, the time that the step from `end` leads to: [n + 1]. score_sde ends at 1e-3 on
    VP and sub-VP, at 1e-5 on VE."""
    return jnp.append(jnp.linspace(sde.t1, end, n), 0)


def predict(sde: SDE, n: int, name: str, stochasticity: float = 1.0) -> Solver:
    """The predictor `name` of `PREDICTORS` with n scales. On sub-VP, which has no table of variances, reverse diffusion
    is Euler's method and ancestral sampling does not exist."""
    tabulated = exploding(sde) or preserving(sde)
    if name == "euler_maruyama" or name == "reverse_diffusion" and not tabulated:
        return euler_maruyama(stochasticity, dt=1 / n)
    if name == "reverse_diffusion":
        return reverse_diffusion(stochasticity, truncated_index(tables(sde, n)))
    if name == "ancestral_sampling":
        if not tabulated:
            raise ValueError(
                "ancestral_sampling needs the table of variances that sub-VP does not have: take "
                "predictor=euler_maruyama or reverse_diffusion."
            )
        return ancestral(large if preserving(sde) else small, truncated_index(tables(sde, n)))
    if name == "none":
        return stay()
    raise ValueError(f"score_sde's predictors are {', '.join(PREDICTORS)}, got {name!r}.")


def correct(sde: SDE, n: int, name: str, snr: float = 0.16, steps: int = 1) -> Solver:
    """The corrector `name` of `CORRECTORS` with n scales. Its steps are scaled by (alpha_i / alpha_{i-1})^2: 1 - beta_i
    on VP and sub-VP, 1 on VE."""
    if name == "none":
        return stay()
    if name not in CORRECTORS:
        raise ValueError(f"score_sde's correctors are {', '.join(CORRECTORS)}, got {name!r}.")
    coefficients = truncated_index(tables(sde, n))

    def kept(sde: SDE, t: Array) -> Array:
        alpha_t, _, alpha_s, _ = coefficients(sde, t, t)
        return jnp.square(alpha_t / alpha_s)

    return langevin(snr, steps, kept) if name == "langevin" else annealed_langevin(snr, steps, kept)


def tables(sde: SDE, n: int) -> SDE:
    """The n scales that score_sde gives this process: sigma(t_i) on VE; on VP and sub-VP beta_i = beta(t_i)/n with
    beta = -2 f, at t_i = i/(n - 1). A discretized VP is its own table."""
    with jax.ensure_compile_time_eval():
        t = jnp.linspace(0, 1, n)
        if exploding(sde):
            return ncsn(np.asarray(sde.sigma(t)))
        if sde.grid is not None:
            if len(sde.grid) != n:
                raise ValueError(
                    f"score_sde's sampler steps through the {len(sde.grid)} scales of this process, got n={n}: take "
                    f'{len(sde.grid)} steps, or give the solver tables of n scales with sde=call("vp").'
                )
            return sde
        betas = np.asarray(-2 * log_slope(sde.alpha, t), np.float64) / n
    if betas.max() >= 1:
        raise ValueError(
            f"score_sde's tables of this process need more than {n * betas.max():.3g} scales, got n={n}: take more "
            "steps, or a solver that steps between any two times, such as predictor_corrector, ancestral or ddim."
        )
    return ddpm(betas)


def exploding(sde: SDE) -> bool:
    """Whether alpha = 1, as on VE."""
    return is_one(sde, lambda alpha, sigma: alpha)


def preserving(sde: SDE) -> bool:
    """Whether alpha^2 + sigma^2 = 1, as on VP."""
    return is_one(sde, lambda alpha, sigma: alpha**2 + sigma**2)


def is_one(sde: SDE, of: Callable[[Array, Array], Array]) -> bool:
    """Whether of(alpha, sigma) is 1 at all times, seen at a few."""
    with jax.ensure_compile_time_eval():
        t = jnp.linspace(sde.t0, sde.t1, 5)
        return np.allclose(of(sde.alpha(t), sde.sigma(t)), 1, atol=1e-5)


def truncated_score(den: Denoiser) -> Denoiser:
    """The score of a model trained on a table, with the alpha and sigma of i = trunc(t (N - 1)); the network itself is
    told t as before."""
    grid = jnp.asarray(grid_of(den.sde))

    def earlier(t: Array) -> Array:
        return grid.astype(t.dtype)[table_index(den.sde, t)]

    held = den.sde._replace(
        alpha=lambda t: den.sde.alpha(earlier(t)),
        sigma=lambda t: den.sde.sigma(earlier(t)),
    )
    return Denoiser(den.sde, SCORE, den._replace(sde=held).score)


def denoising_step(sde: SDE, n: int) -> Finish:
    """Finish with the mean of one reverse-diffusion step of n scales from the last time, after which noise may be left:
    how score_sde denoises what its ODE sampler gives."""
    solver = predict(sde, n, "reverse_diffusion")

    def finish(den: Denoiser, memory: Memory, x: Array, t: Array, cond: Any) -> Array:
        return solver.step(den, solver.init(x, t), x, t, t, lambda n: jnp.zeros_like(x), cond)[1]

    return finish
