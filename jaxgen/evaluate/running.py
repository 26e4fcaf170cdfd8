"""A file of running statistics: what `jaxgen.evaluate.inception.measure` has of the images so far, to the last bit."""

import io
import os
import zipfile

import numpy as np

from jaxgen.evaluate.frechet import Moments
from jaxgen.evaluate.inception import Running
from jaxgen.evaluate.inception_score import Sums
from jaxgen.io import atomic
from jaxgen.io.location import location


def write(path: str | os.PathLike, running: Running, features: str) -> None:
    """`running` of what `features` says to the .npz file `path`, whole or not at all."""
    buffer = io.BytesIO()
    arrays = {f"{type(part).__name__}.{name}": value for part in running for name, value in part._asdict().items()}
    np.savez(buffer, allow_pickle=False, features=np.asarray(features), **arrays)
    atomic.write(path, buffer.getvalue())


def read(path: str | os.PathLike, features: str) -> Running | None:
    """What `write` has put there, or None where there is nothing, or nothing whole of these features."""
    try:
        with np.load(io.BytesIO(location(path).read_bytes()), allow_pickle=False) as file:
            if str(file["features"]) != features:
                return None
            moments, sums = ([file[f"{kind.__name__}.{name}"] for name in kind._fields] for kind in (Moments, Sums))
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Moments(*moments), Sums(*sums)
