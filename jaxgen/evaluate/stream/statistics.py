"""Files of feature statistics, as published with papers: the moments of a training set in place of its images."""

import math
import os
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution.blocks import blocks
from jaxgen.evaluate.distribution.frechet import Moments, covariance, from_statistics, merge, moments
from jaxgen.io import archive, atomic

SUFFIX = {"features": "", "spatial": "_s"}  # of the arrays of a layer, as guided-diffusion has them
UNLIKE = 1e-4  # of the largest variance may a covariance in float32 differ from its transpose
WIDEST, TEXT = 1 << 14, 10_000  # dimensions, whose covariance takes 2 GB, and characters that are read


class About(NamedTuple):
    """What a file of statistics says of itself: of which `features` it is, of how many images, both None where it does
    not say, and how many dimensions each layer has that it holds."""

    features: str | None
    n: int | None
    layers: Mapping[str, int]


def write(path: str | os.PathLike, layers: Mapping[str, Moments], features: str) -> None:
    """Mean and covariance of each layer to the .npz file `path`, whole or not at all: arrays "mu" [d] and "sigma"
    [d, d] (ddof 1) as TTUR, pytorch-fid and guided-diffusion have them, and the latter's "mu_s" and "sigma_s" of sFID's
    layer, with the number "n" behind them and what the "features" are."""
    arrays: dict[str, np.ndarray | np.floating] = {}
    for layer, m in layers.items():
        mean, spread = names(layer)
        arrays[mean], arrays[spread] = m.shift + m.s / m.n, covariance(m)
        arrays["n"] = m.n
    with atomic.opened(path) as file:
        np.savez(file, allow_pickle=False, features=np.asarray(features), **arrays)


def names(layer: str) -> tuple[str, str]:
    """The arrays of a layer: its mean and its covariance."""
    end = SUFFIX.get(layer, f"_{layer}")
    return f"mu{end}", f"sigma{end}"


def about(path: Path) -> About:
    """What the file says of itself, without its covariances: of arrays that are not as they must be, nothing but the
    header is read. Raises ValueError where it is no file of statistics."""
    there = set(archive.names(path))
    features, n = None, None
    if "features" in there:
        features = single(path, "features", "U", "a text")
    if "n" in there:
        n = single(path, "n", "iuf", "a whole number of at least 2")
        if not (n >= 2 and n == np.floor(n) and n < 2**53):
            raise ValueError(f"expected a whole number of at least 2 as n in {path}, got {n}: write it anew.")
    if "pool_3" in there:
        rows = archive.Member(path, "pool_3")
        layers, n = {"features": width(path, "pool_3", math.prod(rows.shape[1:]))}, np.asarray(len(rows))
    else:
        ends = {name[2:] for name in there if name.startswith("mu") and f"sigma{name[2:]}" in there}
        known = {end: layer for layer, end in SUFFIX.items()}
        layers = {known.get(end, end[1:]): dimensions(path, f"mu{end}", f"sigma{end}") for end in ends}
    return About(None if features is None else str(features), None if n is None else int(n), layers)


def single(path: Path, name: str, kinds: str, what: str) -> Any:
    """An array of the file without axes, of one of the `kinds` of types, which is `what` it must be."""
    shape, _, dtype, _ = archive.header(path, name)
    if shape or dtype.kind not in kinds or dtype.itemsize > 4 * TEXT:
        raise ValueError(f"expected {what} as {name} in {path}, got {dtype} {shape}: write it anew.")
    return loaded(path, name)


def dimensions(path: Path, mean: str, spread: str) -> int:
    """How many a mean and its covariance have, by their headers."""
    (shape, *_), (square, *_) = (archive.header(path, name) for name in (mean, spread))
    if len(shape) != 1 or square != 2 * shape:
        raise ValueError(
            f"expected a mean [d] as {mean} and a covariance [d, d] as {spread} in {path}, got {shape} and {square}: "
            "write it anew."
        )
    return width(path, mean, shape[0])


def width(path: Path, name: str, d: int) -> int:
    """The dimensions `d` of the array `name`, if memory is meant for so many."""
    if not 0 < d <= WIDEST:
        raise ValueError(f"expected 1 to {WIDEST:,} dimensions as {name} in {path}, got {d:,}: take other features.")
    return d


def read(path: str | os.PathLike, features: str, layer: str = "features") -> Moments:
    """The moments of a layer in an .npz file: of `write`, any other with "mu" and "sigma", or score_sde's with the
    features themselves, "pool_3" [n, d].

    Where the file says of which features it is, they must be `features`. A file without "n" is taken to rest on
    more than d images. Raises ValueError where it is no such file, or its numbers are no mean and covariance.
    """
    path = Path(path)
    said = about(path)
    if said.features not in (None, features):
        raise ValueError(f"the statistics in {path} are of {said.features}, but these are {features}.")
    if layer not in said.layers:
        alone = ", or pool_3," if layer == "features" else ""
        there = ", ".join(sorted(archive.names(path))) or "none"
        raise ValueError(f"expected arrays {' and '.join(names(layer))}{alone} in {path}, got {there}.")
    if "pool_3" in archive.names(path):
        check_numbers(path, "pool_3")
        parts = (rows.reshape(len(rows), -1).astype(np.float64) for _, rows in blocks(archive.Member(path, "pool_3")))
        return reduce(merge, map(moments, parts))
    mean, spread = (numbers(path, name) for name in names(layer))
    largest = np.abs(np.diag(spread)).max()
    if not (np.abs(spread - spread.T).max() <= UNLIKE * largest and np.diag(spread).min() >= 0):
        raise ValueError(f"the covariance in {path} is not symmetric with variances of at least 0: write it anew.")
    return from_statistics(mean, spread, said.n)


def numbers(path: Path, name: str) -> np.ndarray:
    """A real array of the file in float64."""
    check_numbers(path, name)
    found: np.ndarray = loaded(path, name).astype(np.float64)
    return found


def check_numbers(path: Path, name: str) -> None:
    """Raises ValueError unless the array is one of real numbers by its header."""
    shape, _, dtype, _ = archive.header(path, name)
    if dtype.kind not in "iuf" or 0 in shape:
        raise ValueError(f"expected numbers as {name} in {path}, got {dtype} {shape}: write it anew.")


def loaded(path: Path, name: str) -> Any:
    """An array of the file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file[name])
    except archive.FOREIGN as error:
        raise ValueError(
            f"expected an .npz file of statistics at {path}, but {name} cannot be read: {error}."
        ) from None
