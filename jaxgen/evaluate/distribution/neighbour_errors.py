"""Standard errors of what nearest neighbours say of two sets, which hangs on the samples of both.

A binomial error of a share takes the balls for given, but they are as random as what lies in them: of recall it can be
three times too small. Groups are left out of either set instead, of up to 1000 images of each, whose table of distances
is held, and what comes out is taken to n and m images by 1 / sqrt(n). On the large side, as jackknives are: by up to
2.5 times where a share is nearly 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution.blocks import taken

MOST, GROUPS = 1000, 10
TIES = 1e-9  # relative, between distances that are equal but for rounding


class Table(NamedTuple):
    """Squared distances among real images [n, n] and among fake ones [m, m], infinite to themselves, and between them
    [n, m]."""

    real: np.ndarray
    fake: np.ndarray
    across: np.ndarray

    def without(self, real: np.ndarray, fake: np.ndarray) -> "Table":
        """That of the images which these masks keep."""
        return Table(self.real[real][:, real], self.fake[fake][:, fake], self.across[real][:, fake])


def kth(own: np.ndarray, k: int) -> np.ndarray:
    """Squared distance to the k-th nearest of the same kind, [n]."""
    return np.partition(own, k - 1, axis=1)[:, k - 1]


def prdc(table: Table, k: int) -> np.ndarray:
    """Precision, recall, density and coverage, as `distribution.prdc.prdc` defines them."""
    held = table.across <= kth(table.real, k)[:, None] * (1 + TIES)
    reached = table.across <= kth(table.fake, k) * (1 + TIES)
    return np.array([held.any(0).mean(), reached.any(1).mean(), held.sum(0).mean() / k, held.any(1).mean()])


def proximity(table: Table) -> np.ndarray:
    """Median and 5th percentile of the distance to the nearest real image."""
    return np.sqrt(np.quantile(table.across.min(0), [0.5, 0.05]))


def realism(table: Table, k: int = 3, share: float = 0.5, eps: float = 1e-5) -> np.ndarray:
    """Median of `distribution.prdc.realism`, and the share of 1 or more."""
    squared = kth(table.real, k)
    counted = np.where(squared <= np.quantile(squared, share) * (1 + TIES), squared, 0)
    found = np.sqrt((counted[:, None] / (table.across + eps)).max(0))
    return np.array([np.median(found), (found >= 1).mean()])


def standard_errors(statistic: Callable[[Table], np.ndarray], real: Any, fake: Any) -> np.ndarray | None:
    """Of each number that `statistic` gives: the root of, summed over both sets,

        (G - 1) / G sum_g (theta_g - mean)^2 min(n, 1000) / n

    theta_g without group g of that set, rows [n, ...], arrays or read in blocks. NaN where theta_g is the same for all
    groups of both sets, as of a share of 1 that no group brings down: that says less than an error of 0 would. None
    where a set has fewer than two images a group.
    """
    if min(len(real), len(fake)) < 2 * GROUPS:
        return None
    table = table_of(drawn(real), drawn(fake))
    everyone = [np.ones(len(own), bool) for own in (table.real, table.fake)]
    total, moved = 0.0, False
    for which, rows in enumerate((real, fake)):
        count = len(everyone[which])
        group = np.random.default_rng(0).permutation(count) % GROUPS
        left = [[group != g if i == which else all_ for i, all_ in enumerate(everyone)] for g in range(GROUPS)]
        values = np.array([statistic(table.without(*kept)) for kept in left])
        total = total + (GROUPS - 1) * values.var(0) * count / len(rows)
        moved = moved | (np.ptp(values, axis=0) > 0)
    return np.where(moved, np.sqrt(total), np.nan)


def drawn(rows: Any) -> np.ndarray:
    """Up to 1000 of the rows at random, the same every time, [b, d] float64."""
    chosen = np.random.default_rng(0).permutation(len(rows))[:MOST]
    return taken(rows, chosen).reshape(len(chosen), -1).astype(np.float64)


def table_of(real: np.ndarray, fake: np.ndarray) -> Table:
    """That of rows [n, d] and [m, d]."""
    mean = real.mean(0)
    x, y = real - mean, fake - mean

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        found = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
        return np.maximum(found, 0)

    table = Table(squared(x, x), squared(y, y), squared(x, y))
    for own in (table.real, table.fake):
        np.fill_diagonal(own, np.inf)
    return table
