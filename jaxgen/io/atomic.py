"""A file is written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write(path: str | os.PathLike, data: bytes) -> Path:
    """Put `data` at `path`: a neighbouring temporary file, fsync, then one rename.

    Whoever reads `path` sees the old content or the new, also when the process dies in the middle.
    Missing folders are made. Raises OSError as the file system does; the temporary file is then removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
