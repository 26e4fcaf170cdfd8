"""Rows on disk, part by part: what a long computation has finished, for the same command to go on from.

    FOLDER/question.json   all that decides the rows
    FOLDER/000003.npz      part 3: the rows 3 size, 3 size + 1, ... of [n, ...], whole or not at all, with a checksum

A folder that answers another question is started anew. Memory holds a part at a time, however large n is.
"""

import io
import json
import math
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxgen.io import atomic
from jaxgen.io.location import is_remote
from jaxgen.parallel import multihost

Question = Mapping[str, Any]  # for JSON


class Store(Protocol):
    """Where the parts of n rows go. begin(question): keep what answers it, drop the rest. end(): all is there, what was
    only needed to go on may go. abandon(): nothing is there, leave no trace."""

    n: int
    size: int

    def begin(self, question: Question) -> None: ...
    def whole(self, part: int) -> bool: ...
    def write(self, part: int, rows: np.ndarray) -> None: ...
    def end(self) -> None: ...
    def abandon(self) -> None: ...


class Rows:
    """n rows in `folder`, `size` in a part but for the last; read like an array: len(rows), rows.shape, rows[3:700]."""

    def __init__(self, folder: Path, n: int, size: int):
        self.folder, self.n, self.size = folder, n, size

    def begin(self, question: Question) -> None:
        """Keep the parts that answer `question`, and remove all others."""
        path, question = self.folder / "question.json", aligned(question, self)
        if kept(path, question):
            return
        self.remove()
        atomic.write(path, document(question))

    def whole(self, part: int) -> bool:
        """Whether the part is there as it was written."""
        try:
            self.read(part)
        except (FileNotFoundError, ValueError):
            return False
        return True

    def write(self, part: int, rows: np.ndarray) -> None:
        if len(rows) != len(range(self.n)[self.span(part)]):
            raise ValueError(f"part {part} of {self.n} rows by {self.size} is not of {len(rows)} rows.")
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, rows=rows)
        atomic.write(self.path(part), buffer.getvalue())

    def read(self, part: int) -> np.ndarray:
        """Raises FileNotFoundError where the part is not there, ValueError where it is damaged."""
        try:
            with np.load(io.BytesIO(self.path(part).read_bytes()), allow_pickle=False) as file:
                rows = file["rows"]
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"{self.path(part)} is damaged: start the same command again, it is made anew.") from error
        if len(rows) != len(range(self.n)[self.span(part)]):
            raise ValueError(f"{self.path(part)} holds {len(rows)} rows of another question: remove {self.folder}.")
        return rows

    def end(self) -> None:
        """The parts stay until they are used up: see `remove`."""

    def abandon(self) -> None:
        self.remove()

    def remove(self) -> None:
        """The folder and what is in it; the question first, so that no rest is taken for an answer."""
        if not self.folder.is_dir():
            return
        (self.folder / "question.json").unlink(missing_ok=True)
        for path in self.folder.iterdir():
            path.unlink()
        if not is_remote(self.folder):
            self.folder.rmdir()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Part after part."""
        return map(self.read, range(count(self)))

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

    def span(self, part: int) -> slice:
        return slice(part * self.size, (part + 1) * self.size)

    def path(self, part: int) -> Path:
        return self.folder / f"{part:06}.npz"


def complete(
    store: Store,
    question: Question,
    compute: Callable[[list[int]], Iterable[np.ndarray]],
    done: Callable[[int], None] = lambda count: None,
) -> None:
    """Put into `store` the parts that it lacks of the answer to `question`: compute(parts) makes these, one by one, on
    all processes alike, and process 0 writes each when it comes. `done` hears how many rows are there."""
    main = multihost.is_main()
    if main:
        store.begin(question)
    there = np.array([main and store.whole(part) for part in range(count(store))])
    there = multihost.agree(there)[0]
    missing = np.flatnonzero(~there).tolist()
    finished = store.n - sum(len(range(store.n)[part * store.size :][: store.size]) for part in missing)
    begun = there.any()
    try:
        for part, rows in zip(missing, compute(missing), strict=True):
            if main:
                store.write(part, rows)
            begun, finished = True, finished + len(rows)
            done(finished)
    except BaseException:
        if main and not begun:
            store.abandon()
        raise
    if main:
        store.end()
    multihost.barrier("all rows are written")


def remove(used: Iterable[Rows]) -> None:
    """Remove rows that all processes are done with."""
    multihost.barrier("rows are used up")
    for rows in used:
        if multihost.is_main():
            rows.remove()


def count(store: Store) -> int:
    """How many parts there are."""
    return math.ceil(store.n / store.size)


def aligned(question: Question, store: Store) -> dict[str, Any]:
    """The question with how its answer is cut into parts, as JSON gives it back."""
    return json.loads(json.dumps({**question, "rows": store.n, "part": store.size}))


def kept(path: Path, question: Question, ignored: str = "") -> bool:
    """Whether the file `path` asks the same, but for the key `ignored`. Where it asks something else, a line on the
    standard error says what."""
    if not path.is_file():
        return False
    try:
        old = dict(leaves(json.loads(path.read_bytes())))
    except (ValueError, AttributeError):
        old = {}
    new = dict(leaves(question))
    for key in {**new, **old}:
        if key != ignored and old.get(key) != new.get(key):
            was = f"{path.parent} was begun with {key}={old.get(key)}, now {new.get(key)}"
            print(f"{was}: it is started anew.", file=sys.stderr)
            return False
    return True


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("a.b", value) of every leaf of nested dicts."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def document(question: Question) -> bytes:
    return json.dumps(question, indent=1).encode() + b"\n"
