"""Precision, recall, density and coverage by k nearest neighbours."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.evaluate.blocks import blocks, shape
from jaxgen.evaluate.neighbours import CHUNK, as_features, check, leave_one_out, nearest, squared_distances


class PRDC(NamedTuple):
    """Fractions in [0, 1], but for density, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def balls_containing(queries: Any, centres: Any, squared_radii: np.ndarray) -> np.ndarray:
    """How many closed balls |x - centre_i|^2 <= r_i^2 hold each query x; int [m]."""
    found = []
    for _, block in blocks(queries):
        query = as_features(block)
        counts = [
            np.asarray(holding(query, as_features(others), squared_radii[start : start + len(others)]))
            for start, others in blocks(centres)
        ]
        found.append(np.sum(counts, 0))
    return np.concatenate(found)


@jax.jit
def holding(queries: jax.Array, centres: jax.Array, squared_radii: jax.Array) -> jax.Array:
    """`balls_containing` of a block each, queries taken 64 at a time."""

    def row(query: jax.Array) -> jax.Array:
        return (squared_distances(query, centres) <= squared_radii).sum()

    return jax.lax.map(row, queries, batch_size=CHUNK)


def prdc(real: Any, fake: Any, k: int = 5) -> PRDC:
    """With B(y) the closed ball around y up to its k-th nearest neighbour among its own kind, y itself excluded:

        precision = mean_fake [x in some B(real)]       recall   = mean_real [y in some B(fake)]
        density   = mean_fake #{B(real) holding x} / k  coverage = mean_real [B(y) holds some fake]

    Kynkaanniemi et al. (2019), eq. 1-2; Naeem et al. (2020), eq. 3-4. real [n, ...] and fake [m, ...] are
    features, arrays or rows that are read in blocks, flattened, compared by Euclidean distance. Membership counts
    equality, which matters for quantised features, where distances tie. Raises ValueError unless n, m > k.
    """
    check(real)
    check(fake)
    dimensions = [int(np.prod(shape(rows)[1:])) for rows in (real, fake)]
    if dimensions[0] != dimensions[1]:
        raise ValueError(f"features of one dimension are compared, got {dimensions[0]} and {dimensions[1]}.")
    real_radii, fake_radii = leave_one_out(real, k), leave_one_out(fake, k)
    around_fake = balls_containing(fake, real, real_radii)
    around_real = balls_containing(real, fake, fake_radii)
    reached = nearest(real, fake)[0][:, 0] <= real_radii
    return PRDC(
        precision=float(np.mean(around_fake > 0)),
        recall=float(np.mean(around_real > 0)),
        density=float(np.mean(around_fake)) / k,
        coverage=float(np.mean(reached)),
    )
