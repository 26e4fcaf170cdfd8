"""The one sampling loop: a `Solver` stepped along a grid of times by `lax.scan`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.sampling.noise import Noise, gaussian

Memory = Any
Draw = Callable[[Any], Array]  # the n-th noise of this step, an array like x
Finish = Callable[[Denoiser, Memory, Array, Array, Any], Array]


class Solver(NamedTuple):
    """A method: init(x, grid [n]) -> memory; step(denoiser, memory, x, t [B], s [B], draw, cond) -> (x at s, memory),
    s <= t. Most methods need no more of the grid than the step they take; `init` sees all of it for those that do.

    `draws` is how many noises a step takes, `evaluations` how often it calls the network; `warm_up` counts what the
    first steps of a run need beyond that.
    """

    init: Callable[[Array, Array], Memory]
    step: Callable[[Denoiser, Memory, Array, Array, Array, Draw, Any], tuple[Array, Memory]]
    draws: int = 0
    evaluations: int = 1
    warm_up: int = 0


def clean(denoiser: Denoiser, memory: Memory, x: Array, t: Array, cond: Any) -> Array:
    """Finish with the denoised image E[x_0 | x_t] at the last time: one more evaluation."""
    return denoiser.x0(x, t, cond)


def as_it_is(denoiser: Denoiser, memory: Memory, x: Array, t: Array, cond: Any) -> Array:
    """Finish with x at the last time, noise of sigma(t0) included."""
    return x


def last_mean(denoiser: Denoiser, memory: Memory, x: Array, t: Array, cond: Any) -> Array:
    """Finish with the last predictor step before its noise was added (score_sde's noise removal). For `euler_maruyama`,
    `reverse_diffusion`, `ancestral` and predictor-correctors built on them."""
    return memory


def prior(denoiser: Denoiser, keys: Array, shape: tuple[int, ...]) -> Array:
    """A draw of the prior, image i from keys[i]: every sampler starts from the same one. -> [B, ...]."""
    return jax.vmap(lambda key: denoiser.sde.prior_sample(jax.random.fold_in(key, 0x5EED), shape[1:]))(keys)


def sample(
    denoiser: Denoiser,
    solver: Solver,
    grid: Array,
    key: Array,
    shape: tuple[int, ...],
    cond: Any = None,
    x: Array | None = None,
    trajectory: bool = False,
    finish: Finish = clean,
    noise: Noise = gaussian,
) -> Any:
    """Integrate from grid[0] to grid[-1] and finish. -> x [B, ...], or with `trajectory` (x, path [n + 1, B, ...]): x_t
    at every grid time and the finished x last.

    grid: decreasing times [n]. key: one key, or one per image [B]. x: the start (default: the prior at grid[0]).
    """
    keys = key if key.ndim else jax.random.split(key, shape[0])
    if keys.shape[0] != shape[0]:
        raise ValueError(f"sample expects one key or one per image, got {keys.shape[0]} keys for {shape[0]} images.")
    grid = jnp.asarray(grid)
    start = x = prior(denoiser, keys, shape) if x is None else x

    def body(carry: tuple[Array, Memory], inputs: tuple[Array, Array, Array]) -> tuple[tuple[Array, Memory], Any]:
        x, memory = carry
        i, t, s = inputs
        times = jnp.full(shape[:1], t), jnp.full(shape[:1], s)
        x, memory = solver.step(denoiser, memory, x, *times, lambda n: noise(keys, i, n, x), cond)
        return (x, memory), x if trajectory else None

    steps = jnp.arange(len(grid) - 1), grid[:-1], grid[1:]
    (x, memory), path = jax.lax.scan(body, (x, solver.init(x, grid)), steps)
    x = finish(denoiser, memory, x, jnp.full(shape[:1], grid[-1]), cond)
    return (x, jnp.concatenate([start[None], path, x[None]])) if trajectory else x


def evaluations(solver: Solver, n: int, finish: Finish = clean) -> int:
    """How often `sample` calls the network on a grid of n times."""
    return (n - 1) * solver.evaluations + solver.warm_up + (finish not in (as_it_is, last_mean))
