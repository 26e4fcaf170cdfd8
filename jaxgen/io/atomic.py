"""A file is written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jaxgen.io.location import is_remote, location


def write(path: str | os.PathLike, data: bytes) -> Path:
    """Put `data` at `path` as `opened` does."""
    with opened(path) as file:
        file.write(data)
    return location(path)


@contextmanager
def opened(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A file that becomes `path` on leaving: a neighbouring temporary file, fsync, then one rename; or an object that
    is put whole into its store.

    Whoever reads `path` sees the old content or the new, also when the process dies in the middle.
    Missing folders are made. Raises OSError as the file system does; the temporary file is then removed.
    """
    path = location(path)
    if is_remote(path):
        from fsspec.core import url_to_fs

        store, key = url_to_fs(os.fspath(path))
        with tempfile.NamedTemporaryFile() as file:
            yield file
            file.flush()
            store.put_file(file.name, key)  # a file of the store would, on an exception, be closed and so put in part
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
