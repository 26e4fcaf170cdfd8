"""Euclidean nearest neighbours, a block of rows at a time, and how close generated samples are to training data.

Samples and images are rows on disk or arrays, [n, ...] (see `jaxgen.evaluate.blocks`): two blocks are held at a time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.evaluate.blocks import blocks, shape

CHUNK = 64


def check(rows: Any) -> None:
    """Raises ValueError unless there are rows, [n, ...]."""
    if len(shape(rows)) < 2 or 0 in shape(rows):
        raise ValueError(f"samples must be a non-empty [n, ...] array, a row each, got shape {shape(rows)}.")


def as_features(block: Any) -> jax.Array:
    """[n, ...] as finite [n, d] on the device, in jax's default float type."""
    x = jnp.asarray(block, float)
    x = x.reshape(len(x), -1)
    if not jnp.isfinite(x).all():
        raise ValueError("samples must be finite, got NaN or infinity; look at the generated samples.")
    return x


def squared_distances(query: jax.Array, points: jax.Array) -> jax.Array:
    """sum_j (points_ij - query_j)^2, [n].

    Taken from the differences: |a|^2 + |b|^2 - 2ab in float32 loses exactly the small distances asked for.
    """
    return jnp.square(points - query).sum(-1)


def nearest(queries: Any, points: Any, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest squared distances [m, k] from `queries` [m, ...] to `points` [n, ...], ascending, and whose; of
    equal ones the first."""
    check(queries)
    check(points)
    found = []
    for _, block in blocks(queries):
        query = as_features(block)
        squared = jnp.full((len(query), k), jnp.inf)
        index = jnp.zeros((len(query), k), jnp.int32)
        for start, others in blocks(points):
            squared, index = nearer(query, as_features(others), squared, index, start)
        found.append((np.asarray(squared), np.asarray(index)))
    squared, index = zip(*found, strict=True)
    return np.concatenate(squared), np.concatenate(index)


@jax.jit
def nearer(
    queries: jax.Array, points: jax.Array, squared: jax.Array, index: jax.Array, start: int
) -> tuple[jax.Array, jax.Array]:
    """`nearest` of what was found before, `squared` and `index` [m, k], and a block of points from row `start` on.

    Queries are taken 64 at a time, so that the m x n matrix is never held.
    """
    k = squared.shape[1]

    def row(one: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        query, squared, index = one
        negative, place = jax.lax.top_k(-squared_distances(query, points), min(k, len(points)))
        all_of = jnp.concatenate([squared, -negative]), jnp.concatenate([index, start + place])
        negative, place = jax.lax.top_k(-all_of[0], k)
        return -negative, all_of[1][place]

    return jax.lax.map(row, (queries, squared, index), batch_size=CHUNK)


def leave_one_out(points: Any, k: int = 1) -> np.ndarray:
    """Squared distance [n] from each point to its k-th nearest other one: the first of k + 1 is itself."""
    if len(points) <= k:
        raise ValueError(f"a k = {k} neighbourhood needs more than {k} samples, got {len(points)}.")
    return nearest(points, points, k + 1)[0][:, k]


class Proximity(NamedTuple):
    """Distance [m] of each sample to its nearest reference image, the index [m] of that, and a summary."""

    distances: np.ndarray
    indices: np.ndarray
    median: float
    p05: float
    copies: int


def _proximity(squared: np.ndarray, index: np.ndarray) -> Proximity:
    distance = np.sqrt(np.asarray(squared, np.float64))
    median, p05 = np.median(distance), np.quantile(distance, 0.05)
    return Proximity(distance, index, float(median), float(p05), int((distance == 0).sum()))


def proximity(samples: Any, train: Any) -> Proximity:
    """min_i |x - train_i| for every sample x: the check that a model generates and does not recall.

    Samples [m, ...] and train [n, ...] in the same units; round both to the data's levels, so that an exact
    copy is at distance 0. Read the median beside that of the training set itself, `self_proximity`.
    """
    squared, index = nearest(samples, train)
    return _proximity(squared[:, 0], index[:, 0])


def self_proximity(train: Any) -> Proximity:
    """The same for each training image among the others (leave one out): what fresh samples should look like."""
    if len(train) < 2:
        raise ValueError(f"leaving one out needs at least 2 images, got {len(train)}.")
    squared, index = nearest(train, train, 2)
    return _proximity(squared[:, 1], index[:, 1])
