"""Arrays of an .npz file that need not fit in memory: read in slices, as jaxgen.evaluate.distribution.blocks has it."""

import io
import lzma
import math
import threading
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)  # of files that are damaged
FOREIGN = (*BROKEN, ValueError, KeyError, RuntimeError, NotImplementedError, MemoryError)  # or that nobody here wrote
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
LONGEST = 1 << 14  # bytes of a header


class Header(NamedTuple):
    """What an array is, said before its data, which `start` there."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int


def header(path: Path, name: str) -> Header:
    """That of the array `name` in the .npz file `path`, of which nothing else is read. Raises ValueError where there is
    none, or the file has not as many bytes as it says."""
    try:
        with zipfile.ZipFile(path) as file:
            size = file.getinfo(f"{name}.npy").file_size
            with file.open(f"{name}.npy") as member:
                first = io.BytesIO(member.read(LONGEST))
        version = np.lib.format.read_magic(first)
        shape, fortran, dtype = HEADERS[version](first)
    except FOREIGN as error:
        raise ValueError(f"expected an array as {name} in {path}, but it cannot be read: write it anew.") from error
    if size - first.tell() < math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{path} ends early, as {name} is to be {dtype} {shape}: get it again.")
    return Header(shape, fortran, dtype, first.tell())


class Member:
    """Rows [n, ...] of the array `name` in the .npz file `path`: len(rows), rows[a:b]. Slices in order are read in one
    go through the file, also where it is compressed; going back in a compressed one begins at its start again.

    Raises ValueError where the array is not one of numbers in C order, or shorter than it says.
    """

    def __init__(self, path: Path, name: str):
        self.path, self.lock = path, threading.Lock()
        self.shape, fortran, self.dtype, self.start = header(path, name)
        if fortran or self.dtype.hasobject or not self.shape or min(self.shape) < 0:
            raise ValueError(f"expected rows of numbers in C order as {name} in {path}, got others: write it anew.")
        self.file = zipfile.ZipFile(path).open(f"{name}.npy")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        a, b, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"rows of a file are read in slices [start:stop], got {rows}.")
        shape = (max(0, b - a), *self.shape[1:])
        each = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self.lock:
            try:
                self.file.seek(self.start + a * each)
                data = self.file.read(shape[0] * each)
            except BROKEN as error:
                raise ValueError(f"{self.path} is damaged: get it again.") from error
        if len(data) < shape[0] * each:
            raise ValueError(f"{self.path} ends early: get it again.")
        return np.frombuffer(data, self.dtype).reshape(shape)


def names(path: Path) -> list[str]:
    """The arrays in an .npz file. Raises ValueError where it is none or there is none, OSError where it cannot be
    read."""
    if not path.exists():
        raise ValueError(f"there is no file {path}: correct the path.")
    try:
        with zipfile.ZipFile(path) as file:
            return [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"expected an .npz file at {path}, got something else: correct the path.") from error
