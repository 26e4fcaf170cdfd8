"""Files of feature statistics, as published with papers: the moments of a training set in place of its images."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution.frechet import Moments, covariance, from_statistics, moments
from jaxgen.io import archive, atomic

SUFFIX = {"features": "", "spatial": "_s"}  # of the arrays of a layer, as guided-diffusion has them
UNLIKE = 1e-4  # of the largest variance may a covariance in float32 differ from its transpose


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
    """What the file says of itself, without its covariances. Raises ValueError where it is no file of statistics."""
    there = set(archive.names(path))
    features, n = (loaded(path, name) if name in there else None for name in ("features", "n"))
    if features is not None and (features.shape or features.dtype.kind != "U"):
        raise ValueError(
            f"expected a text as features in {path}, got {features.dtype} {features.shape}: write it anew."
        )
    if n is not None and (n.shape or n.dtype.kind not in "iuf" or not (n >= 2 and n == np.floor(n) and n < 2**53)):
        raise ValueError(f"expected a whole number of at least 2 as n in {path}, got {n}: write it anew.")
    if "pool_3" in there:
        rows = archive.Member(path, "pool_3")
        layers, n = {"features": math.prod(rows.shape[1:])}, np.asarray(len(rows))
    else:
        ends = {name[2:] for name in there if name.startswith("mu") and f"sigma{name[2:]}" in there}
        known = {end: layer for layer, end in SUFFIX.items()}
        layers = {known.get(end, end[1:]): archive.Member(path, f"mu{end}").shape[0] for end in ends}
    return About(None if features is None else str(features), None if n is None else int(n), layers)


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
        return moments(numbers(path, "pool_3"))
    mean, spread = (numbers(path, name) for name in names(layer))
    if mean.ndim == 1 and spread.shape == 2 * mean.shape:
        largest = np.abs(np.diag(spread)).max()
        if not (np.abs(spread - spread.T).max() <= UNLIKE * largest and np.diag(spread).min() >= 0):
            raise ValueError(f"the covariance in {path} is not symmetric with variances of at least 0: write it anew.")
    return from_statistics(mean, spread, said.n)


def numbers(path: Path, name: str) -> np.ndarray:
    """A real array of the file in float64."""
    found = loaded(path, name)
    if found.dtype.kind not in "iuf" or not found.size:
        raise ValueError(f"expected numbers as {name} in {path}, got {found.dtype} {found.shape}: write it anew.")
    return found.astype(np.float64)


def loaded(path: Path, name: str) -> Any:
    """An array of the file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file[name])
    except archive.FOREIGN as error:
        raise ValueError(
            f"expected an .npz file of statistics at {path}, but {name} cannot be read: {error}."
        ) from None
