"""Networks that are written once, for a whole image and for the one pixel that is drawn just now."""

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.autoregressive.order import Raster
from jaxgen.models.layers.levels import encoded
from jaxgen.models.layers.window import Caches, Drawn, Empty, Memory, Window, strip, whole

Cache = tuple[Array | None, Caches]  # the class, and what the layers keep


class Windowed(Raster):
    """A network that defines

    through     (window, x, cond, keys) -> the parameters of those pixels x that are seen through the window

    one_hot: levels come in as unit vectors, else as intensities. With `remat` blocks are computed again for their
    gradient, which saves memory. `start` and `step` are those of `jaxgen.sampling.autoregressive`, of a network without
    `remat`.
    """

    one_hot: bool = False
    dtype: DTypeLike | None = None
    remat: bool = False

    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        return self.through(whole, x, cond, keys)

    def start(self, batch: int, cond: Array | None = None) -> Cache:
        window = Empty()
        self.through(window, jnp.zeros((batch, *self.shape), jnp.int32), cond)
        return cond, window.caches

    def step(self, cache: Cache, x: Array, position: Array) -> tuple[Array, Cache]:
        cond, seen = cache
        at = self.place(position)
        window = Memory(seen, *at, Drawn(x, *at, self.encode))
        y = self.through(window, strip(x, *at), cond)
        return self.parameters_at(position, y), (cond, window.caches)

    def encode(self, x: Array) -> Array:
        return encoded(x, self.levels, self.one_hot, self.dtype)

    def through(self, window: Window, x: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        raise NotImplementedError
