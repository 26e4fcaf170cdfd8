"""A function of single examples on any number of them: equal batches, spread over all devices."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.parallel.mesh import batch_sharding, make_mesh


def streamed(fn: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """fn(params, keys [B], *arrays [B, ...]) -> a pytree of [B, ...], made a function of any number of examples,
    compiled once, whose batches come one by one:

        run(params, seed, arrays, n, batch_size) -> iterator of pytrees [b, ...] on the host, n rows in all

    Example i has the key fold_in(key(seed), i), so its result depends on neither batch size nor devices, if fn treats
    examples one by one (a `langevin` corrector with one step size a batch does not). `arrays` is a tuple of host arrays
    [n, ...] or None. The last batch is computed with copies of its last example, which are left out.
    """

    @jax.jit
    def compiled(params: Any, seed: Array, index: Array, arrays: tuple[Array | None, ...]) -> Any:
        return fn(params, example_keys(seed, index), *arrays)

    def run(params: Any, seed: int, arrays: tuple[np.ndarray | None, ...], n: int, batch_size: int) -> Iterator[Any]:
        mesh, words = make_mesh(), np.uint32(seed)
        size = math.ceil(min(n, batch_size) / mesh.size) * mesh.size
        for start in range(0, n, size):
            rows = np.minimum(np.arange(start, start + size), n - 1)
            batch = rows.astype(np.int32), jax.tree.map(lambda leaf, rows=rows: leaf[rows], arrays)
            part = jax.device_get(compiled(params, words, *jax.device_put(batch, batch_sharding(mesh))))
            yield jax.tree.map(lambda leaf, count=n - start: leaf[:count], part)

    return run


def batched(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The batches of `streamed` joined:

        run(params, seed, arrays, n, batch_size, done) -> pytree of [n, ...] on the host

    `done` hears how many examples are finished.
    """
    stream = streamed(fn)

    def run(
        params: Any,
        seed: int,
        arrays: tuple[np.ndarray | None, ...],
        n: int,
        batch_size: int,
        done: Callable[[int], None] = lambda count: None,
    ) -> Any:
        parts, finished = [], 0
        for part in stream(params, seed, arrays, n, batch_size):
            parts.append(part)
            finished += len(jax.tree.leaves(part)[0])
            done(finished)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    return run


def example_keys(seed: Array | int, index: Array) -> Array:
    """fold_in(key(seed), i) for every i of `index`."""
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.asarray(index))
