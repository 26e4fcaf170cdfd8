"""A function of single examples on any number of them: equal batches, spread over all devices of all processes."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxgen.parallel.mesh import batch_sharding, make_mesh, replicated

Arrays = Any  # a pytree of host arrays [n, ...], or rows [b] -> such a pytree of these rows


def batch_of(n: int, batch_size: int, mesh: Mesh) -> int:
    """How many rows are computed at a time: `batch_size`, or n if that is less, up to a multiple of the devices."""
    return math.ceil(min(n, batch_size) / mesh.size) * mesh.size


def streamed(fn: Callable[..., Any], mesh: Mesh | None = None) -> Callable[..., Iterator[Any]]:
    """fn(params, keys [B], *arrays [B, ...]) -> a pytree of [B, ...], made a function of any number of examples,
    compiled once for `mesh` (default: all devices), whose batches come one by one:

        run(params, seed, arrays, n, batch_size, parts=None) -> iterator of pytrees [b, ...] on the host

    Batch k holds the rows from k B on, B = `batch_of(n, batch_size, mesh)`; `parts` says which are wanted, by default
    all, n rows. Every process calls alike, reads the rows of its own devices, and gets all results.

    Example i has the key fold_in(key(seed), i), so that its result depends on neither batch size, devices nor n, if fn
    treats examples one by one. The last batch is computed with copies of its last example, which are left out: where fn
    takes a mean over its batch, as a `langevin` corrector with one step size a batch does, results depend on B, thus on
    the number of devices that batch_size is rounded up to, and in the last batch also on n, whose copies count.

    Devices do not wait for whoever uses a result: a batch is started when the one before is computed, and that is only
    fetched then. No two are ever under way at once: simulated devices might wait for each other in their collectives.
    `arrays` without any is (); None in it stays None.
    """
    over = make_mesh() if mesh is None else mesh
    compiled = compile_batch(fn, over)

    def run(
        params: Any, seed: int, arrays: Arrays, n: int, batch_size: int, parts: Iterable[int] | None = None
    ) -> Iterator[Any]:
        read = arrays if callable(arrays) else lambda rows: jax.tree.map(lambda leaf: leaf[rows], arrays)
        size, words = batch_of(n, batch_size, over), np.uint32(seed)

        def fetched(k: int, part: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf[: n - k * size], jax.device_get(part))

        running: tuple[int, Any] | None = None
        for k in range(math.ceil(n / size)) if parts is None else parts:
            rows = np.minimum(np.arange(k * size, (k + 1) * size), n - 1)
            placed = distributed(over, rows, lambda rows: (rows.astype(np.int32), read(rows)))
            before = jax.block_until_ready(running)
            running = k, compiled(params, words, *placed)
            if before is not None:
                yield fetched(*before)
        if running is not None:
            yield fetched(*running)

    return run


def compile_batch(fn: Callable[..., Any], mesh: Mesh) -> Any:
    """(params, seed, index [B], arrays [B, ...]) -> fn of these examples: computed by every device on its share, then
    gathered by all."""

    @partial(jax.jit, out_shardings=replicated(mesh))
    def compiled(params: Any, seed: Array, index: Array, arrays: tuple[Array | None, ...]) -> Any:
        return jax.lax.with_sharding_constraint(fn(params, example_keys(seed, index), *arrays), batch_sharding(mesh))

    return compiled


def batched(fn: Callable[..., Any], mesh: Mesh | None = None) -> Callable[..., Any]:
    """The batches of `streamed` joined:

        run(params, seed, arrays, n, batch_size, done) -> pytree of [n, ...] on the host

    `done` hears how many examples are finished.
    """
    stream = streamed(fn, mesh)

    def run(
        params: Any,
        seed: int,
        arrays: Arrays,
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


def distributed(mesh: Mesh, rows: np.ndarray, read: Callable[[np.ndarray], Any]) -> Any:
    """read(rows [B]) as global arrays over the mesh, of which every process reads what its devices hold."""
    sharding = batch_sharding(mesh)

    def first(index: Any) -> int:
        return index[0].indices(len(rows))[0]

    held = sharding.addressable_devices_indices_map(rows.shape).values()
    starts = sorted({first(index) for index in held})
    each = len(rows) // mesh.size

    def joined(*shares: np.ndarray) -> Array:
        shape, of = (len(rows), *shares[0].shape[1:]), dict(zip(starts, shares, strict=True))
        return jax.make_array_from_callback(shape, sharding, lambda index: of[first(index)])

    return jax.tree.map(joined, *(read(rows[start : start + each]) for start in starts))
