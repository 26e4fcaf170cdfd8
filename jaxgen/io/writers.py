"""Where the figures of a run go: metrics.jsonl, TensorBoard, both."""

import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxgen.io import atomic
from jaxgen.io.location import is_remote, location
from jaxgen.scalars import Scalars, to_floats

PUT_EVERY = 60.0  # seconds between two puts of a growing object


class Writer(NamedTuple):
    """scalars(step, {name: scalar}) · image(step, name, uint8 [H, W, 1 or 3]) · flush(): all of it is where it belongs,
    as before a checkpoint, after which a run goes on · close(). Made on one process."""

    scalars: Callable[[int, Scalars], None]
    image: Callable[[int, str, ArrayLike], None]
    flush: Callable[[], None]
    close: Callable[[], None]


def combine(*writers: Writer) -> Writer:
    """One writer that hands everything to each of `writers`."""

    def scalars(step: int, values: Scalars) -> None:
        values = to_floats(values)
        for writer in writers:
            writer.scalars(step, values)

    def image(step: int, name: str, array: ArrayLike) -> None:
        for writer in writers:
            writer.image(step, name, array)

    def flush() -> None:
        for writer in writers:
            writer.flush()

    def close() -> None:
        for writer in writers:
            writer.close()

    return Writer(scalars, image, flush, close)


def jsonl(path: str | os.PathLike, step: int = 0) -> Writer:
    """One line {"step": ..., name: value, ...} for each call, flushed; null where a value is not finite.

    A run that goes on from `step` keeps the lines up to that step and drops the rest, and a last line torn by a
    crash, in one atomic rewrite: the file becomes that of a run never interrupted. Images are not kept here.
    An object store cannot append: there the whole is put when it is flushed and closed, and every PUT_EVERY seconds.
    """
    path = location(path)
    old = path.read_bytes() if path.exists() else b""
    kept = b"".join(line for line in _whole_lines(path, old) if json.loads(line)["step"] <= step)
    atomic.write(path, kept)
    append, flush, close = _growing_object(path, kept) if is_remote(path) else _growing_file(path)

    def scalars(step: int, values: Scalars) -> None:
        finite = {name: v if math.isfinite(v) else None for name, v in to_floats(values).items()}
        append(json.dumps({"step": int(step), **finite}).encode() + b"\n")

    return Writer(scalars, lambda step, name, array: None, flush, close)


Grow = tuple[Callable[[bytes], object], Callable[[], None], Callable[[], None]]


def _growing_file(path: Path) -> Grow:
    """append(data), flush(), close() of a file of this machine; nothing waits to be flushed."""
    file = open(path, "ab")

    def append(data: bytes) -> None:
        file.write(data)
        file.flush()  # or raises where a disk takes only a part of it, which an unbuffered file would not

    return append, lambda: None, file.close


def _growing_object(path: Path, data: bytes) -> Grow:
    """append(data), flush(), close() of an object that holds `data`."""
    parts, put, clock = [data], True, time.monotonic()

    def append(data: bytes) -> None:
        nonlocal put
        parts.append(data)
        put = False
        if time.monotonic() - clock >= PUT_EVERY:
            flush()

    def flush() -> None:
        nonlocal put, clock
        if not put:
            atomic.write(path, b"".join(parts))
            put, clock = True, time.monotonic()

    return append, flush, flush


def read_jsonl(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The lines of a metrics file in order, dicts with "step"; null reads as NaN, a torn last line is left out."""
    path = location(path)
    lines = [json.loads(line) for line in _whole_lines(path, path.read_bytes())]
    return [{name: math.nan if value is None else value for name, value in line.items()} for line in lines]


def _whole_lines(path: Path, data: bytes) -> list[bytes]:
    lines = [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
    for number, line in enumerate(lines, 1):
        try:
            valid = "step" in json.loads(line)
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(f'{path} line {number} must be a JSON object with "step"; repair or move the file.')
    return lines


def tensorboard(folder: str | os.PathLike, step: int = 0) -> Writer:
    """Scalars and images as TensorBoard event files in `folder`, by tensorboardX: no TensorFlow, no torch.

    A run that goes on from `step` marks what an earlier one wrote after it as void, which TensorBoard heeds.
    In an object store the files are put when they are flushed and closed; until then they grow in a temporary folder.
    """
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    folder = location(folder)
    scratch = tempfile.TemporaryDirectory() if is_remote(folder) else None
    here = Path(scratch.name if scratch else folder)
    here.mkdir(parents=True, exist_ok=True)
    # Not its SummaryWriter, whose threads show tracebacks of their own where the disk is full.
    events = EventsWriter(str(here / "events"))
    events.write_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(step: int, values: Scalars) -> None:
        for name, value in to_floats(values).items():
            events.write_event(Event(wall_time=time.time(), step=step, summary=summary.scalar(name, value)))

    def image(step: int, name: str, array: ArrayLike) -> None:
        array = np.asarray(array)
        drawn = summary.image(name, array, dataformats="HW" if array.ndim == 2 else "HWC")
        events.write_event(Event(wall_time=time.time(), step=step, summary=drawn))

    def put() -> None:
        for file in Path(scratch.name).iterdir() if scratch else ():
            atomic.write(folder / file.name, file.read_bytes())

    def flush() -> None:
        events.flush()
        put()

    def close() -> None:
        events.close()
        put()
        if scratch:
            scratch.cleanup()

    return Writer(scalars, image, flush, close)
