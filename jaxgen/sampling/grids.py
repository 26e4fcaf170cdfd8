"""Time grids for sampling: decreasing times t1 = t_1 > ... > t_n = t0, shape [n].

On a discretized process every grid is moved to times of the process, the only ones its network knows: to the nearest,
or where several of the grid share that one, to the next free ones.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.sde import SDE, grid_of


def _snap(sde: SDE, times: Array) -> Array:
    if sde.grid is None:
        return times
    if len(times) > len(sde.grid):
        raise ValueError(f"a grid of {len(times)} times does not fit a process of {len(sde.grid)}: take fewer steps.")
    table = jnp.asarray(sde.grid, times.dtype)
    n, size = len(times), len(sde.grid)
    index = jnp.argmin(jnp.abs(times[:, None] - table), axis=-1)
    # The index falls by at least one a step, and leaves as many below as there are steps to come.
    falling = jax.lax.cummin(index + jnp.arange(n)) - jnp.arange(n)
    return table[jnp.clip(falling, n - 1 - jnp.arange(n), size - 1 - jnp.arange(n))]


def nearest(sde: SDE, times: Array) -> Array:
    """The nearest times of a discretized process; on a continuous one, the times themselves."""
    if sde.grid is None:
        return times
    table = jnp.asarray(sde.grid, times.dtype)
    return table[jnp.argmin(jnp.abs(times[..., None] - table), axis=-1)]


def uniform(sde: SDE, n: int, end: float | None = None) -> Array:
    """Equal steps of time down to `end` (default: t0) (2011.13456 appendix F)."""
    return _snap(sde, jnp.linspace(sde.t1, sde.t0 if end is None else end, n))


def quadratic(sde: SDE, n: int) -> Array:
    """Equal steps of sqrt(t): denser towards the data (2010.02502 section D.2)."""
    return _snap(sde, jnp.linspace(sde.t1**0.5, sde.t0**0.5, n) ** 2)


def geometric(sde: SDE, n: int) -> Array:
    """Equal ratios of time; on `edm`, of the noise level (1907.05600 section 4). Needs t0 > 0."""
    if sde.t0 <= 0:
        raise ValueError(
            f"a geometric grid needs t0 > 0, but this process starts at {sde.t0}; take log_snr or uniform."
        )
    return _snap(sde, jnp.geomspace(sde.t1, sde.t0, n))


def log_snr(sde: SDE, n: int, end: float | None = None) -> Array:
    """Equal steps of log snr down to `end` (default: t0) (2206.00927 section 3.4)."""
    end = sde.t0 if end is None else end
    ends = sde.log_snr(jnp.asarray([sde.t1, end]))
    return _snap(sde, _at(sde, jnp.linspace(ends[0], ends[1], n), end))


def karras(sde: SDE, n: int, rho: float = 7.0) -> Array:
    """Equal steps of (sigma/alpha)^(1/rho) (2206.00364 eq. 5)."""
    ends = jnp.exp(-0.5 * sde.log_snr(jnp.asarray([sde.t1, sde.t0])))
    level = jnp.linspace(ends[0] ** (1 / rho), ends[1] ** (1 / rho), n) ** rho
    return _snap(sde, _at(sde, -2 * jnp.log(level), sde.t0))


def indices(sde: SDE, n: int) -> Array:
    """n of the N times of a discretized process, equally spaced by index (2010.02502 section D.2)."""
    grid = grid_of(sde)
    return jnp.asarray(grid[np.linspace(len(grid) - 1, 0, n).round().astype(int)])


def _at(sde: SDE, log_snr: Array, end: float) -> Array:
    """The times of the given log-SNRs, with the end points t1 and `end` exact."""
    return sde.time_at(log_snr).at[0].set(sde.t1).at[-1].set(end)


def refine(sde: SDE, grid: Array, parts: int = 2) -> Array:
    """`grid` [n] with every step cut into `parts` equal steps of log snr, for the stages of singlestep solvers. On a
    discretized process they are moved to its times. -> [parts (n - 1) + 1]."""
    log_snr = sde.log_snr(grid)
    weights = jnp.arange(1, parts) / parts
    between = sde.time_at(log_snr[:-1, None] + weights * jnp.diff(log_snr)[:, None])
    return _snap(sde, jnp.append(jnp.concatenate([grid[:-1, None], between], axis=1), grid[-1]))
