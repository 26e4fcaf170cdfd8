"""A folder of PNG files, FOLDER/000000.png, 000001.png, ...; other files in it stay."""

import re
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np

from jaxgen.io import atomic, images

PICTURE = re.compile(r"(\d{6,})\.png")
LEFT = re.compile(r"\.(\d{6,}\.png|unfinished)\.\w{8}")  # by a process that was killed as it wrote
AT_ONCE = 16  # a disk or an object store is waited for most of the time


def check(folder: Path, n: int) -> None:
    """Raises ValueError where `folder` has numbered pictures that n new ones would not replace."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    stay = sorted(name for name in names if (found := PICTURE.fullmatch(name)) and int(found[1]) >= n)
    if stay:
        raise ValueError(
            f"{folder} holds {stay[0]}, which {n} new pictures would leave beside them: remove the old ones, or take "
            "another folder."
        )


def write(folder: Path, parts: Iterable[np.ndarray], levels: int) -> None:
    """Images in levels [b, H, W, C], 0 .. levels - 1, part after part into `folder`, each file whole or not at all.

    FOLDER/unfinished is there until all are. Raises ValueError once another command writes into the same folder, so
    that the pictures are of one.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if LEFT.fullmatch(path.name):
            path.unlink(missing_ok=True)
    mark, mine = folder / "unfinished", uuid4().hex.encode()
    atomic.write(mark, mine)

    def save(i: int, image: np.ndarray) -> None:
        if owner(mark) != mine:
            raise ValueError(f"another command writes pictures into {folder}, too: take another folder for these.")
        images.save(folder / f"{i:06}.png", image)

    start = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for part in parts:
            numbers = range(start, start + len(part))
            deque(pool.map(save, numbers, images.to_uint8(part, 0, levels - 1)), maxlen=0)
            start += len(part)
    mark.unlink(missing_ok=True)


def owner(mark: Path) -> bytes | None:
    try:
        return mark.read_bytes()
    except FileNotFoundError:
        return None
