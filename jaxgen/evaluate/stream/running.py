"""A file of running states: what `jaxgen.evaluate.stream.accumulate` has of the images so far, to the last bit."""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from jaxgen.evaluate.stream.accumulate import Kept, Running, named
from jaxgen.io import archive, atomic
from jaxgen.io.location import location
from jaxgen.parallel import multihost

SHARE = 10  # times as long as writing took is computed before it is written again


def write(path: str | os.PathLike, running: Running, features: str) -> None:
    """`running` of what `features` says to the .npz file `path`, whole or not at all."""
    arrays = {
        f"{need}/{field}": np.concatenate(value) if isinstance(state, Kept) else value
        for need, state in running.states.items()
        for field, value in state._asdict().items()
    }
    with atomic.opened(path) as file:
        np.savez(file, allow_pickle=False, features=np.asarray(features), n=np.asarray(running.n), **arrays)


def read(path: str | os.PathLike, features: str, needs: Iterable[str] | None = None) -> Running | None:
    """The states `needs`, or all, of what `write` has put there, or None where there is nothing, or nothing whole of
    these features with all that is needed."""
    states = {}
    try:
        with np.load(io.BytesIO(location(path).read_bytes()), allow_pickle=False) as file:
            if str(file["features"]) != features:
                return None
            there = [name.partition("/")[0] for name in file.files if "/" in name]
            for need in dict.fromkeys(there) if needs is None else needs:
                kind = named(need).kind
                arrays = [file[f"{need}/{field}"] for field in kind._fields]
                states[need] = Kept((arrays[0],)) if kind is Kept else kind(*arrays)
            return Running(int(file["n"]), states)
    except archive.FOREIGN:
        return None


def whole(path: Path, features: str, n: int) -> Running:
    """The states in the file `path` of all n images, none where it has less. All processes must find the same."""
    found = read(path, features)
    states = {} if found is None or found.n < n else found.states
    told = np.frombuffer(hashlib.sha256(" ".join(sorted(states)).encode()).digest()[:8], np.int64)[0]
    alike = multihost.agree(told)
    return Running(n, states if (alike == alike[0]).all() else {})


def resumable(path: Path, features: str, needs: Iterable[str]) -> tuple[Running | None, Callable[[Running], None]]:
    """What the file `path` has of `needs`, and what keeps more there as it comes, seldom enough to cost a tenth of the
    time at most. All processes must find the same, or nothing is found; the first one writes."""
    found = read(path, features, needs)
    counts = multihost.agree(np.int64(0 if found is None else found.n))
    again = -np.inf

    def keep(running: Running) -> None:
        nonlocal again
        begun = time.monotonic()
        if multihost.is_main() and begun >= again:
            write(path, running, features)
            again = time.monotonic() + SHARE * (time.monotonic() - begun)

    return (found if (counts == counts[0]).all() else None), keep
