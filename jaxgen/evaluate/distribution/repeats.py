"""Rows that are there many times, as of a generator that has collapsed or of black frames: looked at once each.

A pair of equal rows has distance 0 and no other can tell it from its copies, so that all of them would be measured.
"""

import math
from collections import Counter
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution.blocks import View, blocks, shape
from jaxgen.evaluate.distribution.scan import check, flat

GLANCE = 64  # values of a row that are looked at first


class Distinct(NamedTuple):
    """The u different ones of n rows, in the order in which they come.

    rows:    themselves, read in blocks [u, ...].
    which:   of the different ones each row is [n].
    members: the first c rows that are each of them [u, c], ascending, -1 where there are fewer.
    times:   how many rows are each of them [u].
    """

    rows: Any
    which: np.ndarray
    members: np.ndarray
    times: np.ndarray


class Picked:
    """The rows with ascending `indices`, of rows that are read in slices: those between are read, but not held."""

    def __init__(self, rows: Any, indices: np.ndarray):
        self.rows, self.indices = rows, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> np.ndarray:
        wanted = self.indices[part]
        if not len(wanted):
            return np.asarray(self.rows[:1])[:0]
        found = []
        for start, block in blocks(Span(self.rows, wanted[0], wanted[-1] + 1)):
            here = wanted - wanted[0] - start
            found.append(np.asarray(block)[here[(here >= 0) & (here < len(block))]])
        return np.concatenate(found)


class Span:
    """rows[a:b], read in slices."""

    def __init__(self, rows: Any, a: int, b: int):
        self.rows, self.a, self.b = rows, a, b

    def __len__(self) -> int:
        return self.b - self.a

    def __getitem__(self, part: slice) -> Any:
        start, stop, _ = part.indices(len(self))
        return self.rows[self.a + start : self.a + stop]


def distinct(rows: Any, most: int) -> Distinct:
    """The different ones of rows [n, ...], with up to `most` members each; these are equal to the last bit, found by a
    hash of 128 bits, of whole rows where some of their values are those of another row."""
    check(rows)
    step = -(-math.prod(shape(rows)[1:]) // GLANCE)
    keys = hashes(View(rows, lambda block: flat(block)[:, ::step]))
    times = Counter(keys)
    alike = np.array([i for i, key in enumerate(keys) if times[key] > 1], int)
    for i, key in zip(alike, hashes(Picked(rows, alike)), strict=True):
        keys[i] = key
    place: dict[bytes, int] = {}
    which = np.array([place.setdefault(key, len(place)) for key in keys])
    order = np.argsort(which, kind="stable")
    count = np.bincount(which)
    start = np.cumsum(count) - count
    depth = np.arange(min(most, count.max()))
    members = np.where(depth < count[:, None], order[np.minimum(start[:, None] + depth, len(which) - 1)], -1)
    return Distinct(rows if len(count) == len(which) else Picked(rows, members[:, 0]), which, members, count)


def hashes(rows: Any) -> list[bytes]:
    """Of each row 128 bits, the same where 0 is -0."""
    return [blake2b(row.tobytes(), digest_size=16).digest() for _, block in blocks(rows) for row in flat(block) + 0.0]


def expanded(
    rank: np.ndarray, index: np.ndarray, members: np.ndarray, k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest ranks [m, k] and whose, from those of k different rows that are nearest [m, K] and which, of each of
    which there are `members`; but for row own_i itself. Of equal ranks the first."""
    whose = np.where(np.isfinite(rank)[..., None], members[index], -1).reshape(len(rank), -1)
    out = whose < 0 if own is None else (whose < 0) | (whose == own[:, None])
    ranks = np.where(out, np.inf, np.repeat(rank, members.shape[1], axis=1))
    order = np.lexsort((whose, ranks))[:, :k]
    ranks, whose = (np.take_along_axis(part, order, 1) for part in (ranks, np.maximum(whose, 0)))
    short = ((0, 0), (0, k - ranks.shape[1]))
    return np.pad(ranks, short, constant_values=np.inf), np.pad(whose, short)
