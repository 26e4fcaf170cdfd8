"""What a causal convolution sees around its input: of a whole image, or of the strip of it that is drawn just now.

    y = conv(window(x, above, left, right)),    conv without padding

A network that takes its `window` as an argument is written once and runs both ways. `whole` surrounds an image with
zeros. `Memory`, of incremental sampling, surrounds a strip of n columns of one row (n = 1 is a pixel, n = W a row) with
what the layer was given before it; strips come in raster order. What lies to the right of the strip in its own row is
not there yet: it must meet a zero of the kernel.

Source: Ramachandran et al. 2017, "Fast Generation for Convolutional Autoregressive Models" (1704.06001).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

Index = int | Array
# [B, above + 1, left + W + right, C], or the cache of a recurrence: one for each call of a window, in their order
Caches = tuple[Any, ...]


class Recurrence(NamedTuple):
    """A layer that goes over an image with a state of its own.

    whole: x [B, H, W, C] -> y [B, H, W, F]. start: x [B, H, W, C], of which it takes the shape -> cache, before the
    first pixel. step: (cache, x [B, 1, 1, C], row, column) -> (y [B, 1, 1, F], cache), which may be asked of the same
    pixel more than once; of its answers and of what it was given, the last one counts.
    """

    whole: Callable[[Array], Array]
    start: Callable[[Array], Any]
    step: Callable[[Any, Array, Index, Index], tuple[Array, Any]]


class Window:
    """The window of a whole image."""

    def __call__(self, x: Array, above: int, left: int, right: int) -> Array:
        """x [B, h, w, C] -> [B, above + h, left + w + right, C]."""
        return surrounded(x, above, left, right)

    def recurrent(self, layer: Recurrence, x: Array) -> Array:
        """What the layer makes of x: of a whole image, or of one pixel of it."""
        return layer.whole(x)

    @property
    def image(self) -> "Window":
        """The window of the first layer, whose input is the image itself."""
        return self

    def part(self, image: Array) -> Array:
        """Of an array [B, H, W, C] about the whole image, what belongs to x."""
        return image


whole = Window()


class Empty(Window):
    """The window of a whole image, or of a strip of one `width` columns wide, that makes the `caches` of a `Memory`, in
    which nothing is yet."""

    def __init__(self, width: int | None = None) -> None:
        self.width = width
        self.caches: Caches = ()

    def __call__(self, x: Array, above: int, left: int, right: int) -> Array:
        batch, _, n, channels = x.shape
        self.caches += (jnp.zeros((batch, above + 1, left + (self.width or n) + right, channels), x.dtype),)
        return surrounded(x, above, left, right)

    def recurrent(self, layer: Recurrence, x: Array) -> Array:
        self.caches += (layer.start(x),)
        return layer.whole(x)

    @property
    def image(self) -> Window:
        return whole


class Memory(Window):
    """The window of the strip [B, 1, n, C] at (row, column), integers or traced ones, of an image that is drawn up to
    there. `old` are the caches of what was seen before; `caches`, when the network has been through, those that have
    this strip too: row r in place r mod (above + 1). `drawn` is the window of the first layer."""

    def __init__(self, old: Iterable[Any], row: Index, column: Index, drawn: Window = whole) -> None:
        self.old, self.row, self.column, self.drawn = iter(old), row, column, drawn
        self.caches: Caches = ()

    def __call__(self, x: Array, above: int, left: int, right: int) -> Array:
        batch, _, n, channels = x.shape
        rows = above + 1
        cache = lax.dynamic_update_slice(next(self.old), x, (0, self.row % rows, self.column + left, 0))
        self.caches += (cache,)
        seen = lax.dynamic_slice(cache, (0, 0, self.column, 0), (batch, rows, left + n + right, channels))
        return seen[:, (self.row + 1 + jnp.arange(rows)) % rows]

    def recurrent(self, layer: Recurrence, x: Array) -> Array:
        y, cache = layer.step(next(self.old), x, self.row, self.column)
        self.caches += (cache,)
        return y

    @property
    def image(self) -> Window:
        return self.drawn

    def part(self, image: Array) -> Array:
        return strip(image, self.row, self.column)


class Drawn(Window):
    """The window of the strip at (row, column) onto the levels int [B, H, W, C] themselves, which change until all
    channels of a pixel are drawn; `encode` is what the first layer takes for them, zero for -1, outside of the
    image."""

    def __init__(self, levels: Array, row: Index, column: Index, encode: Callable[[Array], Array]) -> None:
        self.levels, self.row, self.column, self.encode = levels, row, column, encode

    def __call__(self, x: Array, above: int, left: int, right: int) -> Array:
        size = (x.shape[0], above + 1, left + x.shape[2] + right, self.levels.shape[3])
        levels = surrounded(self.levels, above, left, right, value=-1)
        return self.encode(lax.dynamic_slice(levels, (0, self.row, self.column, 0), size))


def surrounded(x: Array, above: int, left: int, right: int, value: int = 0) -> Array:
    return jnp.pad(x, ((0, 0), (above, 0), (left, right), (0, 0)), constant_values=value)


def strip(x: Array, row: Index, column: Index, n: int = 1) -> Array:
    """n columns of one row of an image: [B, H, W, C] -> [B, 1, n, C]."""
    return lax.dynamic_slice(x, (0, row, column, 0), (x.shape[0], 1, n, x.shape[3]))
