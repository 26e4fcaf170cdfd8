"""Arrays of an .npz file that need not fit in memory: read in slices, as jaxgen.evaluate.distribution.blocks has it."""

import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Member:
    """Rows [n, ...] of the array `name` in the .npz file `path`: len(rows), rows[a:b]. Slices in order are read in one
    go through the file, also where it is compressed; going back in a compressed one begins at its start again.

    Raises ValueError where the array is not one of numbers in C order, or shorter than it says.
    """

    def __init__(self, path: Path, name: str):
        self.path, self.lock = path, threading.Lock()
        self.file = zipfile.ZipFile(path).open(f"{name}.npy")
        try:
            version = np.lib.format.read_magic(self.file)
            self.shape, fortran, self.dtype = HEADERS[version](self.file)
        except (ValueError, KeyError, EOFError) as error:
            raise ValueError(f"expected an array as {name} in {path}, but it cannot be read: write it anew.") from error
        if fortran or self.dtype.hasobject or not self.shape:
            raise ValueError(f"expected rows of numbers in C order as {name} in {path}, got others: write it anew.")
        self.start = self.file.tell()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        a, b, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"rows of a file are read in slices [start:stop], got {rows}.")
        shape = (max(0, b - a), *self.shape[1:])
        each = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        with self.lock:
            try:
                self.file.seek(self.start + a * each)
                data = self.file.read(shape[0] * each)
            except (zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
                raise ValueError(f"{self.path} is damaged: get it again.") from error
        if len(data) < shape[0] * each:
            raise ValueError(f"{self.path} ends early: get it again.")
        return np.frombuffer(data, self.dtype).reshape(shape)


def names(path: Path) -> list[str]:
    """The arrays in an .npz file. Raises ValueError where it is none, OSError where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            return [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
    except zipfile.BadZipFile as error:
        raise ValueError(f"expected an .npz file at {path}, got something else: correct the path.") from error
