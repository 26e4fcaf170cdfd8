"""Rows that need not be in memory: anything with len(rows) and slices rows[a:b], read a block at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

BLOCK = 4096


class View:
    """fn(rows[a:b]) for every slice: what is computed from rows when they are read."""

    def __init__(self, rows: Any, fn: Callable[[Any], Any]):
        self.rows, self.fn = rows, fn

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Any:
        return self.fn(self.rows[part])


def blocks(rows: Any) -> Iterator[tuple[int, Any]]:
    """(a, rows[a:b]) for blocks of up to BLOCK rows, in order."""
    for start in range(0, len(rows), BLOCK):
        yield start, rows[start : start + BLOCK]


def number(rows: Any) -> int:
    """How many blocks of up to BLOCK rows there are."""
    return -(-len(rows) // BLOCK)


def shape(rows: Any) -> tuple[int, ...]:
    """That of all rows as one array."""
    return (len(rows), *np.shape(rows[:1])[1:])


def taken(rows: Any, chosen: np.ndarray) -> np.ndarray:
    """The rows with the indices `chosen`, in the order of the rows, as one array."""
    if isinstance(rows, np.ndarray):
        return np.asarray(rows[np.sort(chosen)])
    here = np.zeros(len(rows), bool)
    here[chosen] = True
    return np.concatenate([np.asarray(block)[here[start : start + len(block)]] for start, block in blocks(rows)])
