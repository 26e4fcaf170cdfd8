"""Euclidean nearest neighbours, exact and in bounded memory, and how close generated samples are to training data.

Samples and images are rows on disk or arrays, [n, ...] (see `jaxgen.evaluate.distribution.blocks`): two blocks are
held at a time. The device proposes candidates by bounds of their distance, at first of rounded rows, the host measures
these, and where one might have been passed over there are more candidates by closer bounds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.distribution.blocks import number, taken
from jaxgen.evaluate.distribution.repeats import distinct, expanded
from jaxgen.evaluate.distribution.scan import Block, bounds, centre_of, measured, placed, read, rounded, spread
from jaxgen.io.progress import tracked
from jaxgen.parallel.mesh import batch_sharding, make_mesh

SPARE = 12  # candidates beyond the k that are asked for
HELD = 1 << 24  # candidates at a time, where there are many for each


class Candidates(NamedTuple):
    """For each query [m, C] a bound below the ranks of C points, ascending, and whose; no other's rank is lower."""

    low: Any
    index: Any


class Ranking(NamedTuple):
    """The rank (|x - p_i|^2 + shift) / scale_i of a point i for the query x; scale [n]."""

    scale: np.ndarray
    shift: float = 0.0


def nearest(queries: Any, points: Any, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest squared distances [m, k] from `queries` [m, ...] to `points` [n, ...], ascending, and whose; of
    equal ones the first. Beyond the n points that there are, they are infinite."""
    return lowest(queries, points, k, Ranking(np.ones(len(points))))


def nearest_others(points: Any, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` of each point among the others."""
    if len(points) <= k:
        raise ValueError(f"a k = {k} neighbourhood needs more than {k} samples, got {len(points)}.")
    once = distinct(points, k + 1)
    rank, index = others(once.rows, k)
    itself = np.arange(len(rank))[:, None]
    rank, index = np.pad(rank, ((0, 0), (1, 0))), np.concatenate([itself, index], 1)
    return expanded(rank[once.which], index[once.which], once.members, k, np.arange(len(points)))


def others(points: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`nearest_others` of points that differ. Both halves of the symmetric table come from one product."""
    n = len(points)
    centre, mesh, count = centre_of(points), make_mesh(), min(k + SPARE, n)
    found: list[Candidates] = []
    for i, a in enumerate(rounded(block) for _, _, block in tracked(read(points, centre, mesh), number(points))):
        for j, b in enumerate((rounded(block) for _, _, block in read(points, centre, mesh, i)), i):
            if j == len(found):
                found.append(nobody(len(b.x), count, mesh))
            if j == i:
                found[i] = spread(proposed, mesh)(a, b, found[i], a.number, *placed((np.ones(len(b.x)), 0.0), mesh))
            else:
                found[i], found[j] = spread(mutual, mesh)(a, b, found[i], found[j])
    return settled(points, points, k, joined(found, n), Ranking(np.ones(n)), np.arange(n), centre)


def lowest(queries: Any, points: Any, k: int, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` by another rank than the squared distance, which is the same for equal points."""
    asked, once = distinct(queries, 1), distinct(points, k)
    centre, nobody_else = centre_of(asked.rows, once.rows), np.full(len(asked.rows), -1)
    ranking = ranking._replace(scale=ranking.scale[once.members[:, 0]])
    count = min(k + SPARE, len(once.rows))
    proposals = proposals_of(asked.rows, once.rows, count, ranking, nobody_else, centre, rounded)
    rank, index = expanded(*settled(asked.rows, once.rows, k, proposals, ranking, nobody_else, centre), once.members, k)
    return rank[asked.which], index[asked.which]


def leave_one_out(points: Any, k: int = 1) -> np.ndarray:
    """Squared distance [n] from each point to its k-th nearest other one."""
    return nearest_others(points, k)[0][:, k - 1]


def proposals_of(
    queries: Any,
    points: Any,
    count: int,
    ranking: Ranking,
    own: np.ndarray,
    centre: np.ndarray,
    near: Callable[[Block], Block] = lambda block: block,
) -> Candidates:
    """`count` candidates for each query i among the points but own_i, by rows that may be rounded."""
    mesh = make_mesh()
    found = []
    for rows, _, a in tracked(read(queries, centre, mesh), number(queries)):
        a = near(a)
        one = nobody(len(a.x), count, mesh)
        mine = placed(padded(own[rows], len(a.x)), mesh)
        for others, _, b in read(points, centre, mesh):
            scale = padded(ranking.scale[others], len(b.x))
            one = spread(proposed, mesh)(a, near(b), one, mine, *placed((scale, ranking.shift), mesh))
        found.append(one)
    return joined(found, len(queries))


def proposed(a: Block, b: Block, found: Candidates, own: Array, scale: Array, shift: Array) -> Candidates:
    """`found` and the points in b but own_i."""
    rank = (bounds(a, b)[0] + shift) / scale
    return lower(found, jnp.where(b.number == own[:, None], jnp.inf, rank), b)


def mutual(a: Block, b: Block, of_a: Candidates, of_b: Candidates) -> tuple[Candidates, Candidates]:
    """`of_a` and the points in b, `of_b` and the points in a, by squared distance."""
    low = bounds(a, b)[0]
    return lower(of_a, low, b), lower(of_b, low.T, a)


def lower(found: Candidates, rank: Array, points: Block) -> Candidates:
    """The best of `found` and of points with these ranks [m, n]; of equal ones the first."""
    count = found.low.shape[1]
    rank, place = smallest(rank, min(count, rank.shape[1]))
    of = jnp.concatenate([found.low, rank], 1), jnp.concatenate([found.index, points.start + place], 1)
    low, place = smallest(of[0], count)
    return Candidates(low, jnp.take_along_axis(of[1], place, 1))


def smallest(x: Array, k: int) -> tuple[Array, Array]:
    """The k smallest of each row and where, every device on its rows: XLA does not divide top_k by itself."""
    mesh = make_mesh()
    of_rows = batch_sharding(mesh).spec
    values, place = jax.shard_map(partial(jax.lax.top_k, k=k), mesh=mesh, in_specs=of_rows, out_specs=of_rows)(-x)
    return -values, place


def nobody(size: int, count: int, mesh: Any) -> Candidates:
    return placed(Candidates(np.full((size, count), np.inf), np.zeros((size, count), int)), mesh)


def joined(parts: list[Candidates], n: int) -> Candidates:
    """Those of n queries on the host, from blocks of which the last one may be padded."""
    return Candidates(*(np.concatenate(leaves)[:n] for leaves in zip(*jax.device_get(parts), strict=True)))


def padded(values: np.ndarray, size: int) -> np.ndarray:
    return np.pad(values, (0, size - len(values)), constant_values=1)


def settled(
    queries: Any, points: Any, k: int, proposals: Candidates, ranking: Ranking, own: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest ranks [m, k] and whose, from candidates, and where these leave it open from eight times as many."""
    rank, index = sorted_out(queries, points, k, proposals, ranking)
    count, last = proposals.low.shape[1], rank[:, -1]
    more = min(8 * count, len(points))
    open_ = np.flatnonzero((proposals.low[:, -1] <= last) & (last > 0) & (count < len(points)))
    step = max(1, HELD // more)
    for start in range(0, len(open_), step):
        part = open_[start : start + step]
        some = taken(queries, part)
        wider = proposals_of(some, points, more, ranking, own[part], centre)
        rank[part], index[part] = settled(some, points, k, wider, ranking, own[part], centre)
    return rank, index


def sorted_out(
    queries: Any, points: Any, k: int, proposals: Candidates, ranking: Ranking
) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest ranks of candidates, of which the first k are measured, and others where their bound asks for it."""
    low, index = (np.pad(leaf, ((0, 0), (0, max(0, k - leaf.shape[1])))) for leaf in proposals)
    low[:, proposals.low.shape[1] :] = np.inf
    rank = np.full(low.shape, np.inf)

    def measure(chosen: np.ndarray) -> None:
        i, c = np.nonzero(chosen & np.isfinite(low))
        squared = measured(queries, points, i, index[i, c])
        rank[i, c] = (squared + ranking.shift) / ranking.scale[index[i, c]]

    first = np.arange(low.shape[1]) < k
    measure(np.broadcast_to(first, low.shape))
    measure(~first & (low <= rank[:, :k].max(1, keepdims=True)))
    order = np.lexsort((index, rank))[:, :k]
    return np.take_along_axis(rank, order, 1), np.take_along_axis(index, order, 1)


class Proximity(NamedTuple):
    """Distance [m] of each sample to its nearest reference image, the index [m] of that, and a summary."""

    distances: np.ndarray
    indices: np.ndarray
    median: float
    p05: float
    copies: int


def summary(squared: np.ndarray, index: np.ndarray) -> Proximity:
    """That of squared distances [m, k], ascending, to the nearest images, and whose."""
    distance = np.sqrt(squared[:, 0])
    median, p05 = np.median(distance), np.quantile(distance, 0.05)
    return Proximity(distance, index[:, 0], float(median), float(p05), int((distance == 0).sum()))


def proximity(samples: Any, train: Any) -> Proximity:
    """min_i |x - train_i| for every sample x: the check that a model generates and does not recall.

    Samples [m, ...] and train [n, ...] in the same units; round both to the data's levels, so that an exact
    copy is at distance 0. Read the median beside that of the training set itself, `self_proximity`.
    """
    return summary(*nearest(samples, train))


def self_proximity(train: Any) -> Proximity:
    """The same for each training image among the others (leave one out): what fresh samples should look like."""
    return summary(*nearest_others(train))
