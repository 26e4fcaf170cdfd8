r"""LSTMs over images: a state goes from row to row, or from diagonal to diagonal, all of which is computed at once;
or, of the image that is drawn just now, from pixel to pixel.

    (o, f, i) = sigmoid, g = tanh of    K_ss * h_{t-1} + K_is * x_t
    c_t = f c_{t-1} + i g,    h_t = o tanh(c_t)

| t | K_ss sees |
|---|---|
| `row_lstm`: a row | `size` pixels of the row above, around its own |
| `diagonal_lstm`: the pixels (i, j) of one i + j | the pixel above and the pixel to the left |

K_is * x, four blocks of channels, comes in as `gates`. Before the first step c and h are zero; c_{t-1} is that of the
pixel above in `row_lstm`, of the pixel to the left in `diagonal_lstm`. `by_row`, `from_left` and `from_right` are the
same as layers that also go pixel by pixel.

Source: van den Oord et al. 2016, "Pixel Recurrent Neural Networks" (1601.06759), sections 3.1 and 3.2, eq. (3).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgen.models.layers.causal import shift_down
from jaxgen.models.layers.window import Index, Recurrence, strip


def cell(gates: Array, kernel: Array, c: Array, seen: Sequence[Array]) -> tuple[Array, Array]:
    """gates [..., 4 F], kernel [taps, F, 4 F], c [..., F] before, and the h [..., F] that each tap sees -> c, h."""
    total = gates + sum(h @ weights for h, weights in zip(seen, kernel, strict=True))
    o, f, i, g = jnp.split(total, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def lstm(gates: Array, kernel: Array, reach: tuple[int, int]) -> Array:
    """gates [T, B, N, 4 F], kernel [taps, F, 4 F] -> h [T, B, N, F]; `reach`: taps before and after a unit's own."""

    def step(state: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Array]:
        c, h = state
        around = jnp.pad(h, ((0, 0), reach, (0, 0)))
        c, h = cell(given, kernel, c, [around[:, k : k + h.shape[1]] for k in range(len(kernel))])
        return (c, h), h

    zero = jnp.zeros((*gates.shape[1:-1], gates.shape[-1] // 4), gates.dtype)
    return lax.scan(step, (zero, zero), gates)[1]


def row_lstm(gates: Array, kernel: Array) -> Array:
    """gates [B, H, W, 4 F], kernel [size, F, 4 F] of odd size -> h [B, H, W, F]."""
    reach = len(kernel) // 2
    return jnp.moveaxis(lstm(jnp.moveaxis(gates, 1, 0), kernel, (reach, reach)), 0, 1)


def diagonal_lstm(gates: Array, kernel: Array) -> Array:
    """gates [B, H, W, 4 F], kernel [2, F, 4 F], of the pixel above and of the one to the left -> h [B, H, W, F]."""
    columns = jnp.moveaxis(skewed(gates), 2, 0)
    return unskewed(jnp.moveaxis(lstm(columns, kernel, (1, 0)), 0, 2))


def by_row(kernel: Array) -> Recurrence:
    """`row_lstm`. It keeps c and h of the row above a pixel and of its own row up to it."""
    taps, reach = len(kernel), len(kernel) // 2

    def step(state: Array, gates: Array, row: Index, column: Index) -> tuple[Array, Array]:
        c, h = jnp.split(strip(state, (row + 1) % 2, column, taps), 2, axis=-1)
        seen = [h[:, :, k : k + 1] for k in range(taps)]
        return written(state, cell(gates, kernel, c[:, :, reach : reach + 1], seen), row, column + reach)

    return Recurrence(partial(row_lstm, kernel=kernel), partial(two_rows, left=reach, right=reach), step)


def from_left(kernel: Array) -> Recurrence:
    """`diagonal_lstm`. It keeps c and h of the row above a pixel and of its own row up to it."""

    def step(state: Array, gates: Array, row: Index, column: Index) -> tuple[Array, Array]:
        _, above = jnp.split(strip(state, (row + 1) % 2, column + 1), 2, axis=-1)
        c, left = jnp.split(strip(state, row % 2, column), 2, axis=-1)
        return written(state, cell(gates, kernel, c, [above, left]), row, column + 1)

    return Recurrence(partial(diagonal_lstm, kernel=kernel), partial(two_rows, left=1, right=0), step)


def two_rows(gates: Array, left: int, right: int) -> Array:
    """c and h of nothing yet, [B, 2, left + W + right, 2 F]: row r in place r mod 2."""
    b, _, w, features = gates.shape
    return jnp.zeros((b, 2, left + w + right, features // 2), gates.dtype)


def written(state: Array, new: tuple[Array, Array], row: Index, place: Index) -> tuple[Array, Array]:
    """The new h, and the state that has the new c and h."""
    return new[1], lax.dynamic_update_slice(state, jnp.concatenate(new, axis=-1), (0, row % 2, place, 0))


class Late(NamedTuple):
    """gates: of this row so far, [B, 1, W, 4 F]; above: h of the row above it, [B, 1, W, F]; row: which row it is."""

    gates: Array
    above: Array
    row: Array


def from_right(kernel: Array) -> Recurrence:
    """`diagonal_lstm` from the upper right corner, moved down by one row: a pixel is told the h of the pixel above it,
    which has seen those to its right. With the first pixel of a row it goes over the row above, from right to left."""

    def whole(gates: Array) -> Array:
        return shift_down(diagonal_lstm(gates[:, :, ::-1], kernel)[:, :, ::-1])

    def start(gates: Array) -> Late:
        zero = jnp.zeros_like(gates[:, :1])
        return Late(zero, zero[..., : kernel.shape[1]], jnp.zeros((), int))

    def step(late: Late, gates: Array, row: Index, column: Index) -> tuple[Array, Late]:
        above = lax.cond(row > late.row, lambda: backwards(late.gates, kernel, late.above), lambda: late.above)
        given = lax.dynamic_update_slice(late.gates, gates, (0, 0, column, 0))
        return strip(above, 0, column), Late(given, above, jnp.asarray(row))

    return Recurrence(whole, start, step)


def backwards(gates: Array, kernel: Array, above: Array) -> Array:
    """One row of `diagonal_lstm` from right to left, under h of the row above: [B, 1, W, 4 F] and [B, 1, W, F] -> h."""

    def step(state: tuple[Array, Array], given: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        c, h = cell(given[0], kernel, state[0], [given[1], state[1]])
        return (c, h), h

    zero = jnp.zeros_like(above[:, :, 0])
    columns = jnp.moveaxis(gates, 2, 0), jnp.moveaxis(above, 2, 0)
    return jnp.moveaxis(lax.scan(step, (zero, zero), columns, reverse=True)[1], 0, 2)


def skewed(x: Array) -> Array:
    """Row i moves right by i: [B, H, W, C] -> [B, H, W + H - 1, C], whose columns are the diagonals of x."""
    b, h, w, c = x.shape
    flat = jnp.pad(x, ((0, 0), (0, 0), (0, h), (0, 0))).reshape(b, h * (w + h), c)
    return flat[:, :-h].reshape(b, h, w + h - 1, c)


def unskewed(x: Array) -> Array:
    """Its inverse."""
    b, h, length, c = x.shape
    flat = jnp.pad(x.reshape(b, h * length, c), ((0, 0), (0, h), (0, 0)))
    return flat.reshape(b, h, length + 1, c)[:, :, : length + 1 - h]
