"""Maximum mean discrepancies: KID and CMMD.

    MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)        (Gretton et al. 2012, eq. 3 and 5)

does not change when k(u, v) is replaced by k(u, v) - k(u, c) - k(c, v) + k(c, c). With c the mean of all rows this is
written so that nothing large cancels, and float32 products are enough.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxgen.evaluate.distribution.blocks import View, number, taken
from jaxgen.evaluate.distribution.scan import Block, centre_of, centred, flat, placed, products, read, spread
from jaxgen.io.progress import tracked
from jaxgen.parallel.mesh import batch_sharding, make_mesh, replicated

PANEL = 250  # rows of a subset at a time, and their pairs with those from there on: little more than half of all


class Rows(NamedTuple):
    """Of rows c + a: the squares |a|^2 and the products c . a."""

    square: Array
    along: Array


Kernel = Callable[[Array, Rows, Rows, Array], Array]  # a . b, of a, of b (which broadcast), c -> k(u, v), centred


class Estimate(NamedTuple):
    """A figure and its standard error, by the jackknife over the rows of both sets (Arvesen 1969)."""

    value: float
    error: float


class KID(NamedTuple):
    """Mean and standard deviation (ddof 0) over the subsets."""

    mean: float
    std: float


def cubic(dot: Array, a: Rows, b: Rows, centre: Array) -> Array:
    """k(u, v) = (u . v / d + 1)^3, the kernel of KID (Binkowski et al. 2018, section 4)."""
    d = centre.shape[0]
    middle = jnp.square(centre).sum() / d + 1
    gamma, alpha, beta = dot / d, a.along / d, b.along / d
    q = middle + alpha + beta
    return gamma * (3 * q * q + 3 * q * gamma + gamma * gamma) + 3 * alpha * beta * (middle + q)


@cache
def gaussian(sigma: float) -> Kernel:
    """k(u, v) = exp(-|u - v|^2 / (2 sigma^2))."""

    def kernel(dot: Array, a: Rows, b: Rows, centre: Array) -> Array:
        of_a, of_b = (jnp.expm1(-rows.square / (2 * sigma**2)) for rows in (a, b))
        return of_a * of_b + (1 + of_a) * (1 + of_b) * jnp.expm1(dot / sigma**2)

    return kernel


def kid(x: Any, y: Any, subsets: int = 100, size: int = 1000, seed: int = 2020) -> KID:
    """The unbiased MMD^2 of `subsets` pairs of random subsets of features x [n, d] and y [m, d], with the cubic kernel.

    The defaults are torch-fidelity's, and so are the subsets: NumPy's RandomState(seed) draws each one of x, then one
    of y, without repeats. A negative value is no mistake. `kid_full` uses all pairs of rows and is less noisy.
    """
    if not 2 <= size <= min(len(x), len(y)):
        raise ValueError(f"subsets of {size} need 2 and as many features in both sets, got {len(x)} and {len(y)}.")
    state, centre, mesh = np.random.RandomState(seed), centre_of(x, y), make_mesh()
    of_subsets, at = subset_sums(mesh), placed(centre, mesh)
    found, pairs = [], np.zeros((mesh.size, 2, size, len(centre)), at.dtype)
    for start in tracked(range(0, subsets, mesh.size), -(-subsets // mesh.size)):  # one on each device
        count = min(mesh.size, subsets - start)
        for pair in pairs[:count]:
            for rows, out in zip((x, y), pair, strict=True):
                centred(flat(taken(rows, state.choice(len(rows), size, replace=False))), centre, out)
        own, across = jax.device_get(of_subsets(placed(pairs, mesh, batch_sharding), at))
        own, across = (part[:count].sum(-1, dtype=np.float64) for part in (own, across))
        found.append(2 * own.sum(1) / (size * (size - 1)) - 2 * across / size**2)
    values = np.concatenate(found)
    return KID(float(values.mean()), float(values.std()))


@cache
def subset_sums(mesh: Mesh) -> Callable[[Array, Array], tuple[Array, Array]]:
    """(centred rows [S, 2, n, d] of S pairs of subsets, c) -> parts of the sum of k over the pairs of rows within each
    subset [S, 2, P], and over those of a row of the first and one of the second [S, n]. Every device has some of S."""

    def down(k: Array) -> Array:
        # not k.sum(0), which XLA:CPU fuses with the product that k is of, and takes twice as long
        return jnp.matmul(jnp.ones(len(k), k.dtype), k, precision=jax.lax.Precision.HIGHEST)

    def own(x: Array, centre: Array) -> Array:
        panels = [values(cubic, x[i : i + PANEL], x[i:], centre) for i in range(0, len(x), PANEL)]
        return jnp.concatenate([down(jnp.triu(k, 1)) for k in panels])

    def sums(pairs: Array, centre: Array) -> tuple[Array, Array]:
        x, y = pairs[0]
        # one product after the other, as those at once would share the cache of a core
        each = jax.lax.map(partial(own, centre=centre), pairs[0])
        return each[None], down(values(cubic, x, y, centre))[None]

    of = batch_sharding(mesh).spec
    local = jax.shard_map(sums, mesh=mesh, in_specs=(of, replicated(mesh).spec), out_specs=of)
    return jax.jit(local, out_shardings=replicated(mesh))


def kid_full(x: Any, y: Any) -> Estimate:
    """The unbiased MMD^2 of all features with the cubic kernel: what the mean of `kid` tends to."""
    found = table(x, y, cubic, centre_of(x, y))
    return Estimate(discrepancy(*found).unbiased, jackknife(*found))


def cmmd(x: Any, y: Any, sigma: float = 10.0) -> Estimate:
    """1000 MMD^2 of unit rows with the Gaussian kernel of width `sigma`, biased: CMMD where the rows are CLIP's image
    embeddings (Jayasumana et al. 2024, section 4; ViT-L/14 at 336 pixels)."""
    one, other = (View(rows, unit) for rows in (x, y))
    found = table(one, other, gaussian(sigma), centre_of(one, other))
    return Estimate(1000 * discrepancy(*found).biased, 1000 * jackknife(*found))


def unit(block: Any) -> np.ndarray:
    """Rows of length 1, float64."""
    rows = flat(block).astype(np.float64)
    length = np.sqrt(np.square(rows).sum(1, keepdims=True))
    if not (length > 0).all():
        raise ValueError("embeddings must have a direction, got a row of zeros or NaN; look at the samples.")
    return rows / length


def rows_of(x: Array, centre: Array) -> Rows:
    return Rows(jnp.square(x).sum(1), jnp.matmul(x, centre, precision=jax.lax.Precision.HIGHEST))


def values(kernel: Kernel, x: Array, y: Array, centre: Array) -> Array:
    """k of all pairs of centred rows x [A, d] and y [B, d], [A, B]."""
    column = jax.tree.map(lambda leaf: leaf[:, None], rows_of(x, centre))
    return kernel(products(x, y), column, rows_of(y, centre), centre)


class Discrepancy(NamedTuple):
    """MMD^2 without and with the pairs of a row and itself."""

    unbiased: float
    biased: float


class Own(NamedTuple):
    """For each row of a set [n]: the sum of k with the others, and k with itself."""

    others: np.ndarray
    itself: np.ndarray


def discrepancy(x: Own, y: Own, across: np.ndarray, _: np.ndarray) -> Discrepancy:
    n, m = len(x.others), len(y.others)
    cross = 2 * across.sum() / (n * m)
    unbiased = x.others.sum() / (n * (n - 1)) + y.others.sum() / (m * (m - 1)) - cross
    biased = (x.others + x.itself).sum() / n**2 + (y.others + y.itself).sum() / m**2 - cross
    return Discrepancy(float(unbiased), float(biased))


def jackknife(x: Own, y: Own, from_x: np.ndarray, from_y: np.ndarray) -> float:
    """sqrt((n - 1) / n sum_i (theta_i - mean)^2 + the same over y), theta_i the unbiased MMD^2 without row i: on the
    large side where both sets have one distribution."""

    def variance(own: np.ndarray, cross: np.ndarray, m: int) -> float:
        n = len(own)
        if n < 3:
            raise ValueError(f"a standard error needs at least 3 features in a set, got {n}.")
        without = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (cross.sum() - cross) / ((n - 1) * m)
        return (n - 1) / n * np.square(without - without.mean()).sum()

    return float(np.sqrt(variance(x.others, from_x, len(from_y)) + variance(y.others, from_y, len(from_x))))


def table(x: Any, y: Any, kernel: Kernel, centre: np.ndarray) -> tuple[Own, Own, np.ndarray, np.ndarray]:
    """Sums of k over the rows of x, over those of y, and from each row of x to all of y and back. Of what is symmetric,
    one half is computed."""
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a discrepancy needs at least 2 features in each set, got {len(x)} and {len(y)}.")
    mesh = make_mesh()
    block, at = spread(partial_sums(kernel), mesh), placed(centre, mesh)

    def own(rows: Any) -> Own:
        others, itself = np.zeros(len(rows)), np.zeros(len(rows))
        for i, (mine, _, a) in enumerate(tracked(read(rows, centre, mesh), number(rows))):
            for j, (yours, _, b) in enumerate(read(rows, centre, mesh, i), i):
                along, down, diagonal = jax.device_get(block(a, b, at, i == j))
                others[mine] += along[: mine.stop - mine.start]
                if i == j:
                    itself[mine] = diagonal[: mine.stop - mine.start]
                else:
                    others[yours] += down[: yours.stop - yours.start]
        return Own(others, itself)

    from_x, from_y = np.zeros(len(x)), np.zeros(len(y))
    for mine, _, a in tracked(read(x, centre, mesh), number(x)):
        for yours, _, b in read(y, centre, mesh):
            along, down, _ = jax.device_get(block(a, b, at, False))
            from_x[mine] += along[: mine.stop - mine.start]
            from_y[yours] += down[: yours.stop - yours.start]
    return own(x), own(y), from_x, from_y


@cache
def partial_sums(kernel: Kernel) -> Callable[..., tuple[Array, Array, Array]]:
    """(blocks a, b, c, whether they are one) -> sums of k over b [A] and over a [B], and k of each of a and itself [A],
    which the sums leave out."""

    def sums(a: Block, b: Block, centre: Array, one: Array) -> tuple[Array, Array, Array]:
        counted = a.there[:, None] & b.there & ~(one & (a.number[:, None] == b.number))
        k = jnp.where(counted, values(kernel, a.x, b.x, centre), 0)
        of_a = rows_of(a.x, centre)
        return k.sum(1), k.sum(0), kernel(of_a.square, of_a, of_a, centre)

    return sums
