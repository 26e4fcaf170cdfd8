"""Where files lie: a folder of this machine, or an object store such as gs://bucket/run.

An object store has no folders, no append and no rename in place: an object is put whole, and read whole.
"""

import os
import re
from pathlib import Path

STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def location(text: str | os.PathLike) -> Path:
    """The path that `text` names: an etils.epath.Path for a URL, else a pathlib.Path; the two are used alike."""
    if not is_remote(text):
        return Path(text)
    from etils import epath

    return epath.Path(text)


def is_remote(path: str | os.PathLike) -> bool:
    """Whether `path` is the URL of an object store."""
    return "://" in os.fspath(path)


def readable(name: str | os.PathLike) -> str:
    """`name` as text: the bytes of it that are no UTF-8, which file systems allow, as \\xff, and characters that steer
    a terminal or the direction of writing as \\x1b."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def exists(path: Path) -> bool:
    """Whether anything is at `path`. Raises ValueError where the package that reads such URLs is missing."""
    try:
        return path.exists()
    except ImportError as error:
        raise ValueError(f"{path} cannot be read here ({error}): for gs://, pip install 'jaxgen[gcs]'.") from error


def check_folder(flag: str, folder: Path) -> None:
    """Raises ValueError where a file is in the place of `folder`, or of one that it is to be in."""
    there = next((path for path in (folder, *folder.parents) if exists(path)), None)
    if there is not None and not there.is_dir():
        raise ValueError(f"{flag} must be a folder or where one can be made, got {folder}: {there} is a file.")


def check_file(flag: str, path: Path) -> None:
    """Raises ValueError where a folder is in the place of the file `path`, or a file in that of its folder."""
    check_folder(f"the place of {flag}", path.parent)
    if path.is_dir():
        raise ValueError(f"{flag} must name a file, got the folder {path}.")
