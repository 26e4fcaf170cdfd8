"""Files of feature statistics, as published with papers: the moments of a training set in place of its images."""

import os
import zipfile
from collections.abc import Mapping

import numpy as np

from jaxgen.evaluate.distribution.frechet import Moments, covariance, from_statistics, moments
from jaxgen.io import atomic

SUFFIX = {"features": "", "spatial": "_s"}  # of the arrays of a layer, as guided-diffusion has them


def write(path: str | os.PathLike, layers: Mapping[str, Moments], features: str) -> None:
    """Mean and covariance of each layer to the .npz file `path`, whole or not at all: arrays "mu" [d] and "sigma"
    [d, d] (ddof 1) as TTUR, pytorch-fid and guided-diffusion have them, and the latter's "mu_s" and "sigma_s" of sFID's
    layer, with the number "n" behind them and what the "features" are."""
    arrays: dict[str, np.ndarray | np.floating] = {}
    for layer, m in layers.items():
        arrays[f"mu{SUFFIX[layer]}"], arrays[f"sigma{SUFFIX[layer]}"] = m.shift + m.s / m.n, covariance(m)
        arrays["n"] = m.n
    with atomic.opened(path) as file:
        np.savez(file, allow_pickle=False, features=np.asarray(features), **arrays)


def read(path: str | os.PathLike, features: str, layer: str = "features") -> Moments:
    """The moments of a layer in an .npz file: of `write`, any other with "mu" and "sigma", or score_sde's with the
    features themselves, "pool_3" [n, d].

    Where the file says of which features it is, they must be `features`. A file without "n" is taken to rest on
    more than d images. Raises ValueError where it is no such file, OSError where it cannot be read.
    """
    mean, spread = (f"{name}{SUFFIX.get(layer, '_' + layer)}" for name in ("mu", "sigma"))
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            found = {name: file[name] for name in names & {mean, spread, "n", "features", "pool_3"}}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected an .npz file of statistics at {path}, but it cannot be read ({error}).") from None
    if str(found.get("features", features)) != features:
        raise ValueError(f"the statistics in {path} are of {found['features']}, but these are {features}.")
    if {mean, spread} <= names:
        return from_statistics(found[mean], found[spread], found.get("n"))
    if "pool_3" in names and layer == "features":
        return moments(found["pool_3"])
    alone = ", or pool_3," if layer == "features" else ""
    there = ", ".join(sorted(names)) or "none"
    raise ValueError(f"expected arrays {mean} and {spread}{alone} in {path}, got {there}.")
