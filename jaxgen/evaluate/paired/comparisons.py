"""Figures of images beside those that they should be: the mean over all pairs, and its standard error."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.distribution.blocks import shape
from jaxgen.evaluate.extractors.labels import published
from jaxgen.evaluate.paired.lpips import (
    ALEX,
    NETWORK,
    SHIFT_TOLERANT_ALEX,
    SHIFT_TOLERANT_VGG,
    SQUEEZE,
    VGG,
    Trunk,
    frozen_lpips,
    lpips,
)
from jaxgen.evaluate.paired.similarity import decibels, ms_ssim, mse, psnr, ssim
from jaxgen.evaluate.result import Result, mean_and_error
from jaxgen.io.weights import open_weights
from jaxgen.io.weights.installed import installed
from jaxgen.parallel.batched import batched

BATCH, LEVELS = 16, 255.0
PACKAGE, FILE = "stlpips-pytorch", "stlpips_pytorch/weights/vST0.0/{}_shift_tolerant.pth"


class Comparison(NamedTuple):
    """fn(params, x, y) -> [B] of images [B, H, W, C], float32, of whole numbers 0 ... 255, whose differences are exact;
    the others are what its `Result` says."""

    name: str
    fn: Callable[[Any, Array, Array], Array]
    definition: str
    unit: str = ""
    params: Any = None
    layer: str = ""
    weights: str = ""


def of_pixels(function: Callable[[Array, Array], Array]) -> Callable[[Any, Array, Array], Array]:
    return lambda params, x, y: function(x, y)


PIXELS = {
    "mse": Comparison("MSE", of_pixels(lambda x, y: mse(x, y) / LEVELS**2), "mean squared error of pixels in [0, 1]"),
    "psnr": Comparison(
        "PSNR", of_pixels(partial(psnr, data_range=LEVELS)), "-10 log10 MSE of each image by itself", "dB"
    ),
    "ssim": Comparison(
        "SSIM",
        of_pixels(partial(ssim, data_range=LEVELS)),
        "structural similarity, Gaussian window 11, deviation 1.5, inside the image, mean over channels",
    ),
    "ms_ssim": Comparison(
        "MS-SSIM",
        of_pixels(partial(ms_ssim, data_range=LEVELS)),
        "structural similarity over five scales, each half as large",
    ),
}

TRUNKS: Mapping[str, Trunk] = {"alex": ALEX, "vgg": VGG, "squeeze": SQUEEZE}
SHIFT_TOLERANT: Mapping[str, Trunk] = {"alex": SHIFT_TOLERANT_ALEX, "vgg": SHIFT_TOLERANT_VGG}
BACKBONES = {"alex": "7be5be79", "vgg": "397923af", "squeeze": "b8a52dc0"}  # how checksums of torchvision's files begin
HEADS = {"alex": "df73285e", "vgg": "a78928a0", "squeeze": "4a5350f2"}  # of LPIPS's own, version 0.1
SHIFT_TOLERANT_FILES = {"alex": "b356b382", "vgg": "44597da6"}  # of the package


def open_lpips(network: str, backbone: str | os.PathLike, linear: str | os.PathLike) -> Comparison:
    """LPIPS with the `network` alex, vgg or squeeze of torchvision's file `backbone`, and LPIPS's own file `linear`.
    Raises ValueError for other networks."""
    trunk = trunk_of(TRUNKS, network)
    (state, one), (heads, two) = open_weights(backbone), open_weights(linear)
    name = published(f"LPIPS-{network}", (BACKBONES[network], one), (HEADS[network], two))
    return perceptual(name, "LPIPS, version 0.1", trunk, frozen_lpips(state, heads, trunk), f"{one}, {two}")


def open_stlpips(network: str, path: str | os.PathLike | None = None) -> Comparison:
    """Shift-tolerant LPIPS with the `network` alex or vgg, of the file `path` or that of the installed package. Raises
    ValueError for other networks, and where there is none."""
    trunk = trunk_of(SHIFT_TOLERANT, network)
    state, sha256 = open_weights(installed(PACKAGE, FILE.format(network)) if path is None else path)
    name = published(f"ST-LPIPS-{network}", (SHIFT_TOLERANT_FILES[network], sha256))
    return perceptual(name, "shift-tolerant LPIPS", trunk, frozen_lpips(state, state, trunk), sha256)


def trunk_of(trunks: Mapping[str, Trunk], network: str) -> Trunk:
    if network not in trunks:
        raise ValueError(f"expected the network {' or '.join(trunks)}, got {network!r}.")
    return trunks[network]


def perceptual(name: str, definition: str, trunk: Trunk, held: Any, sha256: str) -> Comparison:
    """The comparison by the network `held`."""

    def fn(params: Any, x: Array, y: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            return lpips(params, 2 / LEVELS * x - 1, 2 / LEVELS * y - 1, trunk)

    return Comparison(name, fn, definition, "", {NETWORK: held}, "all that it sums over", sha256)


def paired(
    real: Any,
    fake: Any,
    which: Sequence[Comparison],
    done: Callable[[int], None] = lambda count: None,
    files: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> list[Result]:
    """The figures `which` of image i of `fake` beside image i of `real`, both uint8 [n, H, W, C]: arrays, or rows that
    are read in blocks. The devices share each batch. `done` hears how many pairs are finished. Where both sides have
    `files`, image i must have one name in both. Raises ValueError where they are not one to one."""
    protocol = pairing(*files)
    if shape(real) != shape(fake):
        raise ValueError(f"images are compared one to one, got shapes {shape(real)} and {shape(fake)}.")
    n = len(real)
    if n < 2:
        raise ValueError(f"a mean with its error needs at least 2 pairs of images, got {n}.")

    def read(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        first, last = int(rows.min()), int(rows.max()) + 1
        return tuple(np.asarray(side[first:last])[rows - first] for side in (real, fake))

    def compared(params: Any, keys: Array, x: Array, y: Array) -> list[Array]:
        x, y = (image.astype(jnp.float32) for image in (x, y))
        return [each.fn(held, x, y) for each, held in zip(which, params, strict=True)]

    values = batched(compared)([each.params for each in which], 0, read, n, BATCH, done)
    return [figure for each, found in zip(which, values, strict=True) for figure in figures(each, found, protocol)]


def pairing(real: Sequence[str], fake: Sequence[str]) -> str:
    """The protocol of pairs of images that have these file names, or () each. Raises ValueError where the names differ
    by more than the kind of file."""
    if not (real and fake):
        return "Pairs of uint8 images by their places"
    for one, other in zip_longest(real, fake, fillvalue="nothing"):
        if stem(one) != stem(other):
            raise ValueError(
                f"images are compared one to one by their file names, got {one} beside {other}: rename or remove files."
            )
    return "Pairs of uint8 images by their file names"


def stem(file: str) -> str:
    """The path of a file without the kind of file."""
    return str(PurePosixPath(file).with_suffix(""))


def figures(comparison: Comparison, values: np.ndarray, protocol: str) -> list[Result]:
    """The mean of the values [n]; of the MSE also the PSNR of the mean, under its own name."""
    of_pairs = partial(Result, n=len(values), protocol=protocol, dtype="float32")
    if equal := int(np.isinf(values).sum()):
        mean, error, note = math.inf, None, f"; infinite, as {equal} of the pairs are equal"
    else:
        mean, error, note = *mean_and_error(values), ""
    name, _, definition, unit, _, layer, weights = comparison
    definition = f"{definition}, mean over pairs{note}"
    found = [of_pairs(name, mean, definition, error=error, unit=unit, layer=layer, weights=weights)]
    if name == "MSE":
        value, definition = float(decibels(jnp.asarray(mean), 1)), "-10 log10 of the mean MSE, no mean of PSNR"
        spread = None if error is None or mean == 0 else 10 / math.log(10) * error / mean
        found.append(of_pairs("PSNR_batch", value, definition, error=spread, unit="dB"))
    return found
