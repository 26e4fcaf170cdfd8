"""What every data set looks like to the rest of the library: random access to examples, and a few facts."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

Batch = dict[str, np.ndarray]

IN_MEMORY = 256 << 20


class Spec(NamedTuple):
    """The facts a model is built from. `shape` = (H, W, C); pixels are the integers 0 .. levels-1.

    `num_classes` is None and `class_names` empty without labels; `size` counts the examples of the split, 0 if that is
    not known;
    `captions` tells whether batches carry text.
    """

    shape: tuple[int, ...]
    levels: int
    num_classes: int | None
    class_names: tuple[str, ...]
    size: int
    captions: bool = False


class Records:
    """Examples by index: `records[3]` is one example, `records[[3, 1]]` or `records[:8]` a batch of them.

    `read` maps indices [B] to a batch {"x": [B, H, W, C] integers, "label": [B] int32, "caption": [B] str}. A set
    that fits in memory is read once, on first use; any other is read anew for every batch.
    """

    def __init__(self, read: Callable[[np.ndarray], Batch], size: int, in_memory: bool):
        self.read, self.size, self.in_memory = read, size, in_memory

    @cached_property
    def arrays(self) -> Batch:
        """All examples in order, as one batch."""
        return self.read(np.arange(self.size))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int | slice | np.ndarray | list[int]) -> Batch:
        if self.in_memory:
            return {name: column[index] for name, column in self.arrays.items()}
        if isinstance(index, slice):
            return self.read(np.arange(self.size)[index])
        rows = np.array([range(self.size)[i] for i in np.atleast_1d(index)], dtype=np.int64)
        batch = self.read(rows)
        return batch if np.ndim(index) else {name: column[0] for name, column in batch.items()}


class Source(NamedTuple):
    """A data set: `records` to read, `spec` to know."""

    records: Records
    spec: Spec


def source(read: Callable[[np.ndarray], Batch], spec: Spec) -> Source:
    """The source of `spec.size` examples that `read` reads, held in memory where they take less than 256 MiB."""
    itemsize = np.min_scalar_type(spec.levels - 1).itemsize
    in_memory = spec.size * int(np.prod(spec.shape)) * itemsize <= IN_MEMORY
    return Source(Records(read, spec.size, in_memory), spec)


def as_arrays(source: Source) -> Batch:
    """Every example of the source, in order, as one batch of numpy arrays: for statistics and evaluation."""
    return source.records[:]
