"""What a network sees in images: layers of activations, any number of images at a time.

An `Extractor` gives a dict of layers, of which metrics name the ones that they need:

    "features"  [B, d]  that distances are taken in        "logits"  [B, K]  where there are classes
    "spatial"   [B, d]  of sFID                            others as a network has them, "image_embeds" of CLIP for one
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxgen.parallel.batched import batched
from jaxgen.parallel.mesh import make_mesh, replicated

BATCH = 50
BLOCK = 1000

Layers = dict[str, Any]  # name -> [B, ...]


def unchanged(images: np.ndarray) -> np.ndarray:
    """The images themselves: what a network that takes uint8 pixels is given."""
    return images


class Extractor(NamedTuple):
    """fn(params, prepare(images)) -> Layers, examples one by one.

    prepare: uint8 images [b, H, W, 3], or videos [b, T, H, W, 3], on the host -> what fn takes. For what is defined by
             a program of the host, such as Pillow's resizing; all else belongs into fn.
    name:    the protocol: network, rule of the input, checksum of the weights, float type. Figures agree only where it
             does.
    weights: sha256 of the file of the weights; "" where there is none.
    dtype:   the float type that fn computes in.
    label:   the network in names of figures, with what a published name depends on: its size, and whether the weights
             are the published ones as far as a checksum of those is known.
    """

    fn: Callable[[Any, Array], Layers]
    params: Any
    name: str
    prepare: Callable[[np.ndarray], np.ndarray] = unchanged
    weights: str = ""
    dtype: str = "float32"
    label: str = ""


def extract(
    extractor: Extractor,
    images: Iterable[np.ndarray],
    done: Callable[[int], None] = lambda count: None,
    batch: int = BATCH,
) -> Iterator[Layers]:
    """The layers of `images`, a stream of uint8 arrays [b, H, W, 1 or 3] of any length (or of videos [b, T, H, W, 1 or
    3]), in blocks of up to 1000, as arrays of the host. `batch` images are computed at a time, over all devices.

    No more than a block and one array of the stream are held, and every process prepares the images of its own devices.
    Grey images are repeated as red, green and blue. `done` hears how many images are finished. Raises ValueError on
    other images.
    """
    mesh, finished = make_mesh(), 0
    run = batched(lambda params, keys, x: extractor.fn(params, x), mesh)
    params = jax.device_put(extractor.params, replicated(mesh))
    for block in rebatched(images, BLOCK):
        if block.dtype != np.uint8 or block.ndim not in (4, 5) or block.shape[-1] not in (1, 3):
            raise ValueError(f"images must be uint8 [n, H, W, 1 or 3], got {block.dtype} {block.shape}.")
        rgb = np.broadcast_to(block, (*block.shape[:-1], 3))

        def prepared(rows: np.ndarray, rgb: np.ndarray = rgb) -> tuple[np.ndarray]:
            return (extractor.prepare(rgb[np.minimum(rows, len(rgb) - 1)]),)

        def told(count: int, before: int = finished, n: int = len(block)) -> None:
            done(before + min(count, n))

        filled = max(len(block), batch if finished else 0)  # a rest is of the shape that is compiled
        layers = run(params, 0, prepared, filled, batch, told)
        yield {name: rows[: len(block)] for name, rows in layers.items()}
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
