"""Disks that are full, and what of a checkpoint lies on them."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def largest(folder: Path) -> Path:
    """The file of a checkpoint that holds its arrays."""
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Files of this process grow to `room` bytes at most."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def flip(path: Path) -> None:
    """One bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
