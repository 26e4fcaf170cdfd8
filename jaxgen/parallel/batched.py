"""A function of single examples on any number of them: equal batches, spread over all devices."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.parallel.mesh import batch_sharding, make_mesh


def batched(fn: Callable[..., Array]) -> Callable[..., np.ndarray]:
    """fn(params, keys [B], *arrays [B, ...]) -> [B, ...], made a function of any number of examples, compiled once:

        run(params, seed, arrays, n, batch_size, done) -> [n, ...] on the host

    Example i has the key fold_in(key(seed), i), so its result depends on neither batch size nor devices, if fn treats
    examples one by one (a `langevin` corrector with one step size a batch does not). `arrays` is a tuple of host arrays
    [n, ...] or None. The last batch is filled up with copies of its last example. `done` hears how many are finished.
    """

    @jax.jit
    def compiled(params: Any, seed: Array, index: Array, arrays: tuple[Array | None, ...]) -> Array:
        return fn(params, example_keys(seed, index), *arrays)

    def run(
        params: Any,
        seed: int,
        arrays: tuple[np.ndarray | None, ...],
        n: int,
        batch_size: int,
        done: Callable[[int], None] = lambda count: None,
    ) -> np.ndarray:
        mesh, words = make_mesh(), np.uint32(seed)
        size = math.ceil(min(n, batch_size) / mesh.size) * mesh.size
        parts = []
        for start in range(0, n, size):
            rows = np.minimum(np.arange(start, start + size), n - 1)
            batch = rows.astype(np.int32), jax.tree.map(lambda leaf, rows=rows: leaf[rows], arrays)
            parts.append(np.asarray(compiled(params, words, *jax.device_put(batch, batch_sharding(mesh)))))
            done(min(start + size, n))
        return np.concatenate(parts)[:n]

    return run


def example_keys(seed: Array | int, index: Array) -> Array:
    """fold_in(key(seed), i) for every i of `index`."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.asarray(index))
