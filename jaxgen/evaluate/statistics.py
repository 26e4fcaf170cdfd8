"""Files of feature statistics, as published with papers: the moments of a training set in place of its images."""

import io
import os
import zipfile

import numpy as np

from jaxgen.evaluate.frechet import Moments, covariance, from_statistics, moments
from jaxgen.io import atomic


def write(path: str | os.PathLike, m: Moments, features: str) -> None:
    """Mean and covariance to the .npz file `path`, whole or not at all: arrays "mu" [d] and "sigma" [d, d] (ddof 1) as
    TTUR, pytorch-fid and guided-diffusion have them, with the number "n" behind them and what the "features" are."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, mu=m.shift + m.s / m.n, sigma=covariance(m), n=m.n, features=features)
    atomic.write(path, buffer.getvalue())


def read(path: str | os.PathLike, features: str) -> Moments:
    """The moments in an .npz file: of `write`, any other with "mu" and "sigma", or score_sde's with the features
    themselves, "pool_3" [n, d].

    Where the file says of which features it is, they must be `features`. A file without "n" is taken to rest on
    more than d images. Raises ValueError where it is no such file, OSError where it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            found = {name: file[name] for name in names & {"mu", "sigma", "n", "features", "pool_3"}}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected an .npz file of statistics at {path}, but it cannot be read ({error}).") from None
    if str(found.get("features", features)) != features:
        raise ValueError(f"the statistics in {path} are of {found['features']}, but these are {features}.")
    if {"mu", "sigma"} <= names:
        return from_statistics(found["mu"], found["sigma"], found.get("n"))
    if "pool_3" in names:
        return moments(found["pool_3"])
    raise ValueError(f"expected arrays mu and sigma, or pool_3, in {path}, got {', '.join(sorted(names)) or 'none'}.")
