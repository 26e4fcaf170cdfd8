"""All pairs of rows, two blocks at a time and spread over all devices: what neighbours, balls and kernels share.

A pair is looked at on the device through centred rows, whose products are one matrix multiplication, and only where
its rounding leaves a question, on the host in float64. Rows are arrays [n, ...], or anything with len and slices (see
`jaxgen.evaluate.distribution.blocks`).
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxgen.evaluate.distribution import blocks
from jaxgen.parallel.mesh import batch_sharding, replicated

PAIRS = 128  # on the host at a time


class Block(NamedTuple):
    """`filled` centred rows x [B, d], of which the first is row `start` of all; the others are padding."""

    x: Any
    start: Any
    filled: Any

    @property
    def there(self) -> Array:
        """Which are rows, [B]."""
        return jnp.arange(len(self.x)) < self.filled

    @property
    def number(self) -> Array:
        """Which rows of all they are, [B]."""
        return self.start + jnp.arange(len(self.x))


def check(rows: Any) -> None:
    """Raises ValueError unless there are rows, [n, ...]."""
    if len(blocks.shape(rows)) < 2 or 0 in blocks.shape(rows):
        raise ValueError(f"samples must be a non-empty [n, ...] array, a row each, got shape {blocks.shape(rows)}.")


def centre_of(*sets: Any) -> np.ndarray:
    """The mean [d] of all rows of some sets, float64. Raises ValueError where they have no common dimension or are not
    finite."""
    for rows in sets:
        check(rows)
    dimensions = [math.prod(blocks.shape(rows)[1:]) for rows in sets]
    if len(set(dimensions)) > 1:
        raise ValueError(f"features of one dimension are compared, got {' and '.join(map(str, dimensions))}.")
    sums = [flat(block).sum(0, dtype=np.float64) for rows in sets for _, block in blocks.blocks(rows)]
    mean = np.sum(sums, 0) / sum(map(len, sets))
    if not np.isfinite(mean).all():
        raise ValueError("samples must be finite, got NaN or infinity; look at the generated samples.")
    return mean


def flat(block: Any) -> np.ndarray:
    """[n, ...] -> [n, d] of floating point numbers on the host, float32 or better."""
    x = np.asarray(block)
    return x.reshape(len(x), -1).astype(np.result_type(x.dtype, np.float32), copy=False)


def read(rows: Any, centre: np.ndarray, mesh: Mesh, first: int = 0) -> Iterator[tuple[slice, np.ndarray, Block]]:
    """(which rows, these as they are [b, d], the same as a Block on every device) from the block `first` on; all blocks
    are of one size, a multiple of the number of devices."""
    n = len(rows)
    size = math.ceil(n / math.ceil(n / blocks.BLOCK) / mesh.size) * mesh.size
    for start in range(first * size, n, size):
        raw = flat(rows[start : start + size])
        x = np.zeros((size, raw.shape[1]), jax.dtypes.canonicalize_dtype(float))
        finer = np.result_type(raw, x)
        np.subtract(raw, centre.astype(finer), out=x[: len(raw)], dtype=finer, casting="same_kind")
        yield slice(start, start + len(raw)), raw, placed(Block(x, start, len(raw)), mesh)


def placed(tree: Any, mesh: Mesh) -> Any:
    """Host arrays, the same on every device of all processes."""

    def one(leaf: Any) -> Array:
        host = np.asarray(leaf, jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype))
        return jax.make_array_from_callback(host.shape, replicated(mesh), lambda index: host[index])

    return jax.tree.map(one, tree)


@cache
def spread(fn: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """fn(a, b, *rest) of two Blocks, compiled: the rows of a are spread over all devices, and every device gets all of
    what comes out."""

    @partial(jax.jit, out_shardings=replicated(mesh))
    def compiled(a: Block, b: Block, *rest: Any) -> Any:
        x = jax.lax.with_sharding_constraint(a.x, batch_sharding(mesh))
        return fn(a._replace(x=x), b, *rest)

    return compiled


def products(a: Block, b: Block) -> Array:
    """a_i . b_j, [A, B]."""
    return jnp.matmul(a.x, b.x.T, precision=jax.lax.Precision.HIGHEST)


def bounds(a: Block, b: Block) -> tuple[Array, Array]:
    """Below and above |a_i - b_j|^2, [A, B]; infinite for padding.

    |a|^2 + |b|^2 - 2 a.b, with 4 sqrt(d + 4) eps (|a|^2 + |b|^2) for the rounding of d products and their sum, which
    grows as sqrt(d) with all but certainty (Higham and Mary 2019, theorem 3.1), and for that of the centring.
    """
    norm = [jnp.where(block.there, jnp.square(block.x).sum(1), jnp.inf) for block in (a, b)]
    total, twice = norm[0][:, None] + norm[1], 2 * products(a, b)
    slack = 4 * math.sqrt(a.x.shape[1] + 4) * float(jnp.finfo(a.x.dtype).eps)
    return jnp.maximum((1 - slack) * total - twice, 0), (1 + slack) * total - twice


def measured(queries: Any, points: Any, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """`squared_distances` of the pairs i, j [P] of rows that need not be in memory."""
    found, block_of = np.empty(len(i)), j // blocks.BLOCK
    for start, a in blocks.blocks(queries):
        mine = np.flatnonzero(i // blocks.BLOCK == start // blocks.BLOCK)
        for block in np.unique(block_of[mine]):
            first = block * blocks.BLOCK
            pairs = mine[block_of[mine] == block]
            b = flat(points[first : first + blocks.BLOCK])
            found[pairs] = squared_distances(flat(a), b, i[pairs] - start, j[pairs] - first)
    return found


def squared_distances(a: np.ndarray, b: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """|a_i - b_j|^2 of the pairs i, j [P] from their differences, [P] float64: exact to its rounding however small, and
    the same wherever a pair is asked for."""
    found = np.empty(len(i))
    for start in range(0, len(i), PAIRS):
        part = slice(start, start + PAIRS)
        difference = np.subtract(a[i[part]], b[j[part]], dtype=np.float64)
        found[part] = np.square(difference, out=difference).sum(1)
    return found
