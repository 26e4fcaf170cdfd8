"""Batches as a pure function of the step, served by grain.

    positions of batch k:   k B, ..., k B + B - 1         along the endless row of epochs
    example at position p:  permutation[p // n][p mod n]  one permutation of the n examples per (seed, epoch)

Because a batch follows from its number alone, resuming is exact; because B counts the rows of all processes
together, the global batch is the same, in the same order, on any number of them.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxgen.data.augment import Transform
from jaxgen.data.records import Batch, Source

if TYPE_CHECKING:
    from grain import DatasetIterator

Shard = tuple[int, int]


def pipeline(
    source: Source,
    batch_size: int,
    seed: int,
    transforms: Sequence[Transform] = (),
    keys: Sequence[str] | None = None,
    shard: Shard | None = None,
    threads: int | None = None,
) -> "DatasetIterator":
    """Endless shuffled batches for training: `batch_at(...)` of 0, 1, 2, ...

    The iterator's `get_state()` is a dict that JSON can hold, `set_state` takes it back, and grain's checkpoint
    handler saves it. `threads` read ahead: by default none for data in memory, else one per core, at most 16.
    """
    return serve(batch_at(source, batch_size, seed, transforms, keys, shard), sys.maxsize, source, threads)


def evaluation(
    source: Source,
    batch_size: int,
    transforms: Sequence[Transform] = (),
    keys: Sequence[str] | None = None,
    shard: Shard | None = None,
    threads: int | None = None,
) -> "DatasetIterator":
    """One pass over all examples in order; the last batch holds what is left.

    Arguments as in `batch_at`. Each of several processes takes its rows of every batch, which may be none of the
    last; all see the same number of batches.
    """
    rows, select = local_rows(batch_size, shard), selection(source, keys)

    def at(step: int) -> Batch:
        positions = step * batch_size + rows
        positions = positions[positions < source.spec.size]
        return augment(select(positions), positions, transforms, seed=0)

    return serve(at, -(-source.spec.size // batch_size), source, threads)


def batch_at(
    source: Source,
    batch_size: int,
    seed: int,
    transforms: Sequence[Transform] = (),
    keys: Sequence[str] | None = None,
    shard: Shard | None = None,
) -> Callable[[int], Batch]:
    """step -> {"x": [b, H, W, C] integers, "label": [b] int32, ...}: this process's rows of the global batch.

    `batch_size` counts the rows of all processes; `shard` = (index, count) of this process, by default JAX's, gets
    the b = batch_size / count rows at its place. Every example comes once an epoch, each epoch in a new order.
    `transforms` act on "x". `keys` names the columns to keep, by default all but text, which no device can hold.
    Raises ValueError for a batch size that does not divide, a seed out of range or a key that the source lacks.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"expected a seed in 0 .. 2^64 - 1, got {seed}")
    rows, select, size = local_rows(batch_size, shard), selection(source, keys), source.spec.size

    @lru_cache(maxsize=4)
    def permutation(epoch: int) -> np.ndarray:
        return np.argsort(philox(seed, epoch).random_raw(size), kind="stable")

    def at(step: int) -> Batch:
        positions = step * batch_size + rows
        epochs, places = np.divmod(positions, size)
        order = [permutation(epoch)[places[epochs == epoch]] for epoch in np.unique(epochs).tolist()]
        return augment(select(np.concatenate(order)), positions, transforms, seed)

    return at


def local_rows(batch_size: int, shard: Shard | None) -> np.ndarray:
    """The rows of a global batch that belong to this process: the index-th of `count` equal blocks."""
    index, count = shard or (jax.process_index(), jax.process_count())
    if batch_size < 1 or batch_size % count:
        raise ValueError(f"expected a batch size that is a positive multiple of {count} processes, got {batch_size}")
    return np.arange(batch_size).reshape(count, -1)[index]


def selection(source: Source, keys: Sequence[str] | None) -> Callable[[np.ndarray], Batch]:
    """Indices -> batch with the columns `keys`, or with all that are not text."""
    spec = source.spec
    columns = {"x": True, "label": spec.num_classes is not None, "caption": spec.captions}
    missing = [key for key in keys or () if not columns.get(key)]
    if missing:
        raise ValueError(f"expected keys among {[name for name in columns if columns[name]]}, got {missing}")
    chosen = ("x", "label") if keys is None else tuple(keys)

    def select(indices: np.ndarray) -> Batch:
        return {name: column for name, column in source.records[indices].items() if name in chosen}

    return select


def augment(batch: Batch, positions: np.ndarray, transforms: Sequence[Transform], seed: int) -> Batch:
    """The transforms in turn on "x", each fed four uniform numbers per example that follow from (seed, position)."""
    x = batch["x"]
    for i, transform in enumerate(transforms):
        words = philox(seed, 2**63 + i, int(positions[0]) if len(positions) else 0).random_raw(4 * len(positions))
        x = transform(x, (words >> 11).reshape(-1, 4) * 2.0**-53)
    return batch | {"x": x}


def philox(seed: int, stream: int, counter: int = 0) -> np.random.Philox:
    """Counter-based random bits; each step of the counter is four words (Salmon et al. 2011)."""
    return np.random.Philox(key=np.array([seed, stream], np.uint64), counter=counter)


def serve(at: Callable[[int], Batch], steps: int, source: Source, threads: int | None) -> "DatasetIterator":
    """grain's iterator over at(0), ..., at(steps - 1)."""
    import grain

    if threads is None:
        threads = 0 if source.records.in_memory else min(16, os.cpu_count() or 1)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(grain.MapDataset.range(steps).map(at).to_iter_dataset(options))
