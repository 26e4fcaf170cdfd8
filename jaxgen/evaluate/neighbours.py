"""Euclidean nearest neighbours, a block of rows at a time, and how close generated samples are to training data."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

BLOCK = 64


def as_features(x: ArrayLike) -> jax.Array:
    """[n, ...] as finite [n, d] on the device, in jax's default float type."""
    x = jnp.asarray(x, float)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"samples must be a non-empty [n, ...] array, a row each, got shape {x.shape}.")
    x = x.reshape(len(x), -1)
    if not jnp.isfinite(x).all():
        raise ValueError("samples must be finite, got NaN or infinity; look at the generated samples.")
    return x


def squared_distances(query: jax.Array, points: jax.Array) -> jax.Array:
    """sum_j (points_ij - query_j)^2, [n].

    Taken from the differences: |a|^2 + |b|^2 - 2ab in float32 loses exactly the small distances asked for.
    """
    return jnp.square(points - query).sum(-1)


@partial(jax.jit, static_argnames="k")
def nearest(queries: jax.Array, points: jax.Array, k: int = 1) -> tuple[jax.Array, jax.Array]:
    """The k smallest squared distances [m, k] from `queries` [m, d] to `points` [n, d], ascending, and whose.

    Rows are taken 64 at a time, so that the m x n matrix is never held.
    """

    def row(query: jax.Array) -> tuple[jax.Array, jax.Array]:
        negative, index = jax.lax.top_k(-squared_distances(query, points), k)
        return -negative, index

    return jax.lax.map(row, queries, batch_size=BLOCK)


def leave_one_out(points: jax.Array, k: int = 1) -> jax.Array:
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


def _proximity(squared: jax.Array, index: jax.Array) -> Proximity:
    distance = np.sqrt(np.asarray(squared, np.float64))
    median, p05 = np.median(distance), np.quantile(distance, 0.05)
    return Proximity(distance, np.asarray(index), float(median), float(p05), int((distance == 0).sum()))


def proximity(samples: ArrayLike, train: ArrayLike) -> Proximity:
    """min_i |x - train_i| for every sample x: the check that a model generates and does not recall.

    Samples [m, ...] and train [n, ...] in the same units; round both to the data's levels, so that an exact
    copy is at distance 0. Read the median beside that of the training set itself, `self_proximity`.
    """
    samples, train = as_features(samples), as_features(train)
    squared, index = nearest(samples, train)
    return _proximity(squared[:, 0], index[:, 0])


def self_proximity(train: ArrayLike) -> Proximity:
    """The same for each training image among the others (leave one out): what fresh samples should look like."""
    train = as_features(train)
    if len(train) < 2:
        raise ValueError(f"leaving one out needs at least 2 images, got {len(train)}.")
    squared, index = nearest(train, train, 2)
    return _proximity(squared[:, 1], index[:, 1])
