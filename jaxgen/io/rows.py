"""Rows on disk, part by part: what a long computation has finished, for the same command to go on from.

    PATH-DIGEST/question.json   all that decides the rows, whose digest is in the name
    PATH-DIGEST/000003.npz      part 3: the rows 3 size, 3 size + 1, ... of [n, ...], whole or not at all, checksummed
    PATH-DIGEST/running.npz     what a reader keeps of those it has seen, if it does

Another question has another folder, so that commands that run at once cannot mix their rows. Memory holds a part at a
time, however large n is.
"""

import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.io import atomic
from jaxgen.io.location import is_remote
from jaxgen.io.question import change, digest, document, read
from jaxgen.parallel import multihost

PART = re.compile(r"\d{6,}\.npz")
LEFT = re.compile(r"\.(\d{6,}\.npz|running\.npz|question\.json)\.\w{8}")  # by a process that was killed as it wrote


class Rows:
    """n rows that answer `question`, `size` in a part but for the last, in the folder `path`-DIGEST. They are read like
    an array: len(rows), rows.shape, rows[3:700]."""

    def __init__(self, path: Path, question: Mapping[str, Any], n: int, size: int):
        self.question = json.loads(document({**question, "rows": n, "part": size}))
        self.prefix, self.n, self.size = f"{path.name}-", n, size
        self.folder = path.with_name(self.prefix + digest(self.question))

    def begin(self) -> None:
        """Make the folder or keep what is there. A line on the standard error names each beside it that was begun with
        another question, and what differs. Raises ValueError where the folder holds what was not written here."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        for name in filter(LEFT.fullmatch, names):
            (self.folder / name).unlink(missing_ok=True)
        if self.asked.name not in names and not all(map(LEFT.fullmatch, names)):
            raise ValueError(f"{self.folder} holds files but no question.json: move it, it is needed for rows.")
        found = read(self.asked)
        if found == self.question:
            return
        if self.asked.name in names:
            print(f"{self.folder} does not say what it answers: it is started anew.", file=sys.stderr)
            self.remove()
        for other in self.others():
            if (asked := read(other / "question.json")) is not None:
                print(f"{other} was begun with {change(asked, self.question)}: it is left as it is.", file=sys.stderr)
        self.ask()

    def ask(self) -> None:
        atomic.write(self.asked, document(self.question))

    def others(self) -> list[Path]:
        """The folders that answer other questions at the same path."""
        folders = self.folder.parent.iterdir() if self.folder.parent.is_dir() else ()
        return sorted(path for path in folders if path.name.startswith(self.prefix) and path.name != self.folder.name)

    def whole(self, part: int) -> bool:
        """Whether the part is there as it was written."""
        try:
            self.read(part)
        except ValueError:
            return False
        return True

    def write(self, part: int, rows: np.ndarray) -> None:
        if len(rows) != self.length(part):
            raise ValueError(f"part {part} of {self.n} rows by {self.size} is not of {len(rows)} rows.")
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, rows=rows)
        if not self.asked.exists():  # the same command elsewhere was done, and removed the folder
            self.ask()
        atomic.write(self.path(part), buffer.getvalue())

    def read(self, part: int) -> np.ndarray:
        """Raises ValueError where the part is not there, or damaged."""
        again = "start the same command again"
        try:
            with np.load(io.BytesIO(self.path(part).read_bytes()), allow_pickle=False) as file:
                rows = file["rows"]
        except FileNotFoundError as error:
            gone = f"{self.path(part)} is gone, as when the same command ran twice at once and one was done"
            raise ValueError(f"{gone}: {again} if its result is not there.") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:  # of a flipped bit
            raise ValueError(f"{self.path(part)} is damaged: {again}, it is made anew.") from error
        if len(rows) != self.length(part):
            raise ValueError(f"{self.path(part)} is damaged, it holds {len(rows)} rows: {again}, it is made anew.")
        return rows

    def abandon(self) -> None:
        """Leave no trace where no part is there."""
        if self.folder.is_dir() and not any(PART.fullmatch(path.name) for path in self.folder.iterdir()):
            self.remove()

    def remove(self) -> None:
        """All that was written here, the question last, and the folder if it is empty then."""
        if not self.folder.is_dir():
            return
        parts = [path for path in self.folder.iterdir() if PART.fullmatch(path.name)]
        for path in (*parts, self.running, self.asked):
            path.unlink(missing_ok=True)
        if not is_remote(self.folder):
            with suppress(OSError):
                self.folder.rmdir()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Part after part."""
        return map(self.read, range(self.parts))

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(self.n)
        if step != 1 or stop <= start:
            raise IndexError(f"rows on disk are read in slices [start:stop], got {rows}.")
        first, last = start // self.size, (stop - 1) // self.size
        read = np.concatenate([self.read(part) for part in range(first, last + 1)])
        return read[start - first * self.size : stop - first * self.size]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n, *self.read(0).shape[1:])

    @property
    def parts(self) -> int:
        """How many there are."""
        return math.ceil(self.n / self.size)

    def length(self, part: int) -> int:
        """How many rows it has."""
        return len(range(self.n)[part * self.size : (part + 1) * self.size])

    def path(self, part: int) -> Path:
        return self.folder / f"{part:06}.npz"

    @property
    def running(self) -> Path:
        return self.folder / "running.npz"

    @property
    def asked(self) -> Path:
        return self.folder / "question.json"


def complete(
    rows: Rows,
    compute: Callable[[list[int]], Iterable[np.ndarray]],
    done: Callable[[int], None] = lambda count: None,
) -> None:
    """Write the parts that `rows` lacks: compute(parts) makes these, one by one, on all processes alike, and process 0
    writes each when it comes. `done` hears how many rows are there."""
    main = multihost.is_main()
    if main:
        rows.begin()
    there = multihost.agree(np.array([main and rows.whole(part) for part in range(rows.parts)]))[0]
    missing = np.flatnonzero(~there).tolist()
    finished = rows.n - sum(map(rows.length, missing))
    try:
        for part, made in zip(missing, compute(missing), strict=True):
            if main:
                rows.write(part, made)
            finished += len(made)
            done(finished)
    except BaseException:
        if main:
            rows.abandon()
        raise
    multihost.barrier("all rows are written")


def share(rows: Rows) -> None:
    """Begin rows that all processes are going to read. Raises ValueError where one cannot, before any is computed."""
    if multihost.is_main():
        rows.begin()
    try:
        multihost.check_shared(rows.asked)
    except ValueError:
        if multihost.is_main():
            rows.abandon()
        raise


def remove(used: Iterable[Rows]) -> None:
    """Remove rows that all processes are done with."""
    multihost.barrier("rows are used up")
    for rows in used:
        if multihost.is_main():
            rows.remove()
