"""Precision, recall, density and coverage, and realism, by k nearest neighbours."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxgen.evaluate.distribution.blocks import number
from jaxgen.evaluate.distribution.neighbours import Ranking, leave_one_out, lowest, padded
from jaxgen.evaluate.distribution.repeats import distinct
from jaxgen.evaluate.distribution.scan import Block, bounds, centre_of, placed, read, rounded, spread, squared_distances
from jaxgen.io.progress import tracked
from jaxgen.parallel.mesh import make_mesh

FEW = 1 / 500  # of the pairs of two blocks, which the host measures while the device multiplies them again unrounded


class PRDC(NamedTuple):
    """Fractions in [0, 1], but for density, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


class Membership(NamedTuple):
    """Of queries [m] and centres [n], each with a ball of its own.

    around:  how many balls of centres hold a query [m].
    reached: whether the ball of a centre holds some query [n].
    held:    whether a centre lies in the ball of some query [n].
    """

    around: Any
    reached: Any
    held: Any


def prdc(real: Any, fake: Any, k: int = 5) -> PRDC:
    """With B(y) the closed ball around y up to its k-th nearest neighbour among its own kind, y itself excluded:

        precision = mean_fake [x in some B(real)]       recall   = mean_real [y in some B(fake)]
        density   = mean_fake #{B(real) holding x} / k  coverage = mean_real [B(y) holds some fake]

    Kynkaanniemi et al. (2019), eq. 1-2; Naeem et al. (2020), eq. 3-4. real [n, ...] and fake [m, ...] are
    features, arrays or rows that are read in blocks, flattened, compared by Euclidean distance. Membership counts
    equality, which matters for quantised features, where distances tie. Raises ValueError unless n, m > k.
    """
    centre_of(real, fake)  # which have one dimension and are finite
    return shares(membership(fake, real, leave_one_out(fake, k), leave_one_out(real, k)), k)


def shares(found: Membership, k: int) -> PRDC:
    """`prdc` of samples, the queries, and real images, the centres, in balls up to the k-th neighbour."""
    return PRDC(
        precision=float(np.mean(found.around > 0)),
        recall=float(np.mean(found.held)),
        density=float(np.mean(found.around)) / k,
        coverage=float(np.mean(found.reached)),
    )


def membership(queries: Any, centres: Any, of_queries: np.ndarray, of_centres: np.ndarray) -> Membership:
    """Who lies in whose closed ball, squared radii [m] and [n], the same for equal rows, from one product. Pairs that
    lie on a surface to the rounding of the device are measured on the host."""
    asked, once = distinct(queries, 1), distinct(centres, 1)
    one, other = (x.members[:, 0] for x in (asked, once))
    found = among(asked.rows, once.rows, of_queries[one], of_centres[other], once.times)
    return Membership(found.around[asked.which], found.reached[once.which], found.held[once.which])


def among(queries: Any, centres: Any, of_queries: np.ndarray, of_centres: np.ndarray, count: np.ndarray) -> Membership:
    """`membership` of rows that differ, of which the centres are there `count` times."""
    mesh, mean = make_mesh(), centre_of(centres, queries)
    found = Membership(np.zeros(len(queries), int), np.zeros(len(centres), bool), np.zeros(len(centres), bool))
    for rows, raw, a in tracked(read(queries, mean, mesh), number(queries)):
        for others, others_raw, b in read(centres, mean, mesh):
            radii = placed((around(of_queries[rows], len(a.x)), around(of_centres[others], len(b.x))), mesh)
            many = placed(np.pad(count[others], (0, len(b.x) - len(others_raw))), mesh)
            part, open_, left = spread(certain, mesh)(rounded(a), rounded(b), *radii, many)
            if left > FEW * open_.size:
                part, open_, left = spread(certain, mesh)(a, b, *radii, many)
            sure = jax.tree.map(np.array, part)
            if left:
                i, j = np.nonzero(np.asarray(open_))
                squared = squared_distances(raw, others_raw, i, j)
                within = squared <= of_centres[others][j]
                np.add.at(sure.around, i[within], count[others][j[within]])
                sure.reached[j[within]] = True
                sure.held[j[squared <= of_queries[rows][i]]] = True
            found.around[rows] += sure.around[: len(raw)]
            found.reached[others] |= sure.reached[: len(others_raw)]
            found.held[others] |= sure.held[: len(others_raw)]
    return found


def around(squared: np.ndarray, size: int) -> np.ndarray:
    """The numbers of the device next below and above squared radii, [2, size]."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    exact = padded(squared, size).astype(dtype)
    return np.stack([np.nextafter(exact, -np.inf, dtype=dtype), np.nextafter(exact, np.inf, dtype=dtype)])


def certain(a: Block, b: Block, of_a: Array, of_b: Array, count: Array) -> tuple[Membership, Array, Array]:
    """`membership` by those pairs alone that are clear, which pairs [A, B] are not, and how many."""
    low, high = bounds(a, b)
    in_a, in_b = high <= of_a[0, :, None], high <= of_b[0]
    there = a.there[:, None] & b.there
    open_ = there & ((~in_a & (low <= of_a[1, :, None])) | (~in_b & (low <= of_b[1])))
    in_a, in_b = in_a & there & ~open_, in_b & there & ~open_
    return Membership((in_b * count).sum(1), in_b.any(0), in_a.any(0)), open_, open_.sum()


def realism(real: Any, fake: Any, k: int = 3, share: float = 0.5, eps: float = 1e-5) -> np.ndarray:
    """max_i r_i / |x - real_i|, [m], for every x of fake: 1 and more inside some ball

    Kynkaanniemi et al. (2019), eq. 3, r_i the distance of real_i to its k-th nearest other one. As there the `share`
    of the balls with the smallest radii counts, the others being too wide to tell anything, and as in the code of the
    paper `eps` is added to the squared distance, so that a copy has a finite score.
    """
    return realism_within(leave_one_out(real, k), real, fake, share, eps)


def realism_within(squared: np.ndarray, real: Any, fake: Any, share: float = 0.5, eps: float = 1e-5) -> np.ndarray:
    """`realism` with known squared radii [n]."""
    if not 0 < share <= 1 or eps <= 0:
        raise ValueError(f"realism needs a share of the balls in (0, 1] and a positive eps, got {share} and {eps}.")
    radii = counted(squared, share)
    if not radii.any():
        raise ValueError("realism needs balls of positive radius, got real features that are mostly copies of others.")
    rank, _ = lowest(fake, real, 1, Ranking(radii, eps))
    return np.sqrt(1 / rank[:, 0])


def counted(squared: np.ndarray, share: float = 0.5) -> np.ndarray:
    """The squared radii [n] of the balls that count in `realism`, 0 of the others."""
    return np.where(squared <= np.quantile(squared, share), squared, 0)
