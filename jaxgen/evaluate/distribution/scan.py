"""All pairs of rows, two blocks at a time and spread over all devices: what neighbours, balls and kernels share.

A pair is looked at on the device through centred rows, whose products are one matrix multiplication, and only where
its rounding leaves a question, on the host in float64. Distances begin with rows rounded to bfloat16, whose products
are the fastest that there are, and the rounding is a part of their bounds. Rows are arrays [n, ...], or anything with
len and slices (see `jaxgen.evaluate.distribution.blocks`).
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding

from jaxgen.evaluate.distribution import blocks
from jaxgen.io.progress import tracked
from jaxgen.parallel.mesh import batch_sharding, replicated

PAIRS = 32  # on the host at a time, whose differences the cache of a core holds
LARGEST = 1e15  # of a number in a row: squared distances are then numbers in float32
WIDE = 256  # dimensions from which on it is products that take the time


class Block(NamedTuple):
    """`filled` centred rows, of which the first is row `start` of all; the others are padding.

    x:   the rows [B, d], or what they were rounded to.
    off: how far from x they are, [B].
    """

    x: Any
    start: Any
    filled: Any
    off: Any

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
    largest = max(np.abs(block).max() for rows in sets for _, block in blocks.blocks(rows))
    if largest > LARGEST:
        raise ValueError(f"samples must be at most {LARGEST:g} in size, got {largest:g}; look at the samples.")
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
        centred(raw, centre, x[: len(raw)])
        yield slice(start, start + len(raw)), raw, placed(Block(x, start, len(raw), np.zeros(size)), mesh)


def centred(raw: np.ndarray, centre: np.ndarray, out: np.ndarray) -> None:
    """raw - centre, in the finer of their precisions."""
    finer = np.result_type(raw, out)
    np.subtract(raw, centre.astype(finer), out=out, dtype=finer, casting="same_kind")


def rounded(block: Block) -> Block:
    """The block in bfloat16, where its rows are wide."""
    return to_bfloat16(block) if block.x.shape[1] >= WIDE else block


@jax.jit
def to_bfloat16(block: Block) -> Block:
    near = jax.lax.optimization_barrier(block.x.astype(jnp.bfloat16))  # or XLA takes it for the row itself below
    return block._replace(x=near, off=jnp.linalg.norm(block.x - near.astype(block.x.dtype), axis=1))


def placed(tree: Any, mesh: Mesh, sharding: Callable[[Mesh], NamedSharding] = replicated) -> Any:
    """Host arrays that all processes have, on the devices of all, by default the same on every one."""

    def one(leaf: Any) -> Array:
        host = np.asarray(leaf, jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype))
        return jax.make_array_from_callback(host.shape, sharding(mesh), lambda index: host[index])

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


def products(x: Array, y: Array) -> Array:
    """x_i . y_j, [A, B], added up in float32 or better."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    # not a matmul with y.T, which XLA:CPU takes out of bfloat16 before: four times as slow
    return jnp.einsum("id,jd->ij", x, y, precision=jax.lax.Precision.HIGHEST, preferred_element_type=wide)


def bounds(a: Block, b: Block) -> tuple[Array, Array]:
    """Below and above |a_i - b_j|^2, [A, B]; infinite for padding.

    By the triangle inequality |x_i - y_j| -+ (off_i + off_j), whose square is |x|^2 + |y|^2 - 2 x.y, with
    4 sqrt(d + 4) eps (|x|^2 + |y|^2) for the rounding of d products and their sum, which grows as sqrt(d) with all but
    certainty (Higham and Mary 2019, theorem 3.1), and for that of the centring.
    """
    twice = 2 * products(a.x, b.x)
    norm = [jnp.where(c.there, jnp.square(c.x.astype(twice.dtype)).sum(1), jnp.inf) for c in (a, b)]
    total, off = norm[0][:, None] + norm[1], a.off[:, None] + b.off
    slack = 4 * math.sqrt(a.x.shape[1] + 4) * float(jnp.finfo(twice.dtype).eps)
    low = jnp.sqrt(jnp.maximum((1 - slack) * total - twice, 0)) - off
    return jnp.square(jnp.maximum(low, 0)), jnp.square(jnp.sqrt((1 + slack) * total - twice) + off)


def measured(queries: Any, points: Any, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """`squared_distances` of the pairs i, j [P] of rows that need not be in memory."""
    found, block_of = np.empty(len(i)), j // blocks.BLOCK
    for start, a in tracked(blocks.blocks(queries), blocks.number(queries)):
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
        difference = a[i[part]].astype(np.float64)
        difference -= b[j[part]].astype(np.float64)
        found[part] = np.square(difference, out=difference).sum(1)
    return found
