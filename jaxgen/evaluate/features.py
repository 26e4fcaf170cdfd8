"""Features of images from a trained network, any number of images at a time."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxgen.parallel.batched import batched
from jaxgen.parallel.mesh import make_mesh, replicated

BATCH = 50
BLOCK = 1000


class Features(NamedTuple):
    """What a network says of n images: `pooled` features [n, d] and the `logits` of its classes [n, K]."""

    pooled: Any
    logits: Any


class Extractor(NamedTuple):
    """fn(params, images [B, H, W, 3] uint8) -> Features; `name` says of which network, weights and input these are:
    figures agree only where it does."""

    fn: Callable[[Any, Array], Features]
    params: Any
    name: str


def extract(
    extractor: Extractor, images: Iterable[np.ndarray], done: Callable[[int], None] = lambda count: None
) -> Iterator[Features]:
    """Features of `images`, a stream of uint8 arrays [b, H, W, 1 or 3] of any length, in blocks of up to 1000 images.

    No more than a block and one array of the stream are held. Grey images are repeated as red, green and blue. `done`
    hears how many images are finished. Raises ValueError on other images.
    """
    mesh, finished = make_mesh(), 0
    run = batched(lambda params, keys, x: extractor.fn(params, x), mesh)
    params = jax.device_put(extractor.params, replicated(mesh))
    for block in rebatched(images, BLOCK):
        if block.dtype != np.uint8 or block.ndim != 4 or block.shape[-1] not in (1, 3):
            raise ValueError(f"images must be uint8 [n, H, W, 1 or 3], got {block.dtype} {block.shape}.")
        rgb = np.broadcast_to(block, (*block.shape[:-1], 3))
        yield run(params, 0, (rgb,), len(rgb), BATCH, lambda count, before=finished: done(before + count))
        finished += len(block)


def rebatched(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The rows of `parts`, one after the other, `size` at a time; the last block is what is left."""
    held: list[np.ndarray] = []
    for part in parts:
        held.append(part)
        while sum(map(len, held)) >= size:
            rows = np.concatenate(held)
            yield rows[:size]
            held = [rows[size:]]
    if sum(map(len, held)):
        yield np.concatenate(held)
