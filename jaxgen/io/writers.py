"""Where the figures of a run go: metrics.jsonl, TensorBoard, both."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxgen.io import atomic

Scalars = Mapping[str, ArrayLike]


class Writer(NamedTuple):
    """scalars(step, {name: scalar}) · image(step, name, uint8 [H, W, 1 or 3]) · close(). Made on one process."""

    scalars: Callable[[int, Scalars], None]
    image: Callable[[int, str, ArrayLike], None]
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

    def close() -> None:
        for writer in writers:
            writer.close()

    return Writer(scalars, image, close)


def to_floats(values: Scalars) -> dict[str, float]:
    """Every scalar as a Python float, fetched from its device in one go."""
    fetched = jax.device_get(dict(values))
    for name, value in fetched.items():
        if np.size(value) != 1:
            raise ValueError(f"metric {name!r} must be a scalar, got shape {np.shape(value)}; reduce it first.")
    return {name: float(np.reshape(value, ())) for name, value in fetched.items()}


def jsonl(path: str | os.PathLike, step: int = 0) -> Writer:
    """One line {"step": ..., name: value, ...} for each call, flushed; null where a value is not finite.

    A run that goes on from `step` keeps the lines up to that step and drops the rest, and a last line torn by a
    crash, in one atomic rewrite: the file becomes that of a run never interrupted. Images are not kept here.
    """
    path = Path(path)
    old = path.read_bytes() if path.exists() else b""
    atomic.write(path, b"".join(line for line in _whole_lines(path, old) if json.loads(line)["step"] <= step))
    file = open(path, "a", encoding="utf-8")

    def scalars(step: int, values: Scalars) -> None:
        finite = {name: v if math.isfinite(v) else None for name, v in to_floats(values).items()}
        file.write(json.dumps({"step": int(step), **finite}) + "\n")
        file.flush()

    return Writer(scalars, lambda step, name, array: None, file.close)


def read_jsonl(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The lines of a metrics file in order, dicts with "step"; null reads as NaN, a torn last line is left out."""
    lines = [json.loads(line) for line in _whole_lines(Path(path), Path(path).read_bytes())]
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
    """
    from tensorboardX import SummaryWriter

    events = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(step: int, values: Scalars) -> None:
        for name, value in to_floats(values).items():
            events.add_scalar(name, value, step)

    def image(step: int, name: str, array: ArrayLike) -> None:
        array = np.asarray(array)
        events.add_image(name, array, step, dataformats="HW" if array.ndim == 2 else "HWC")

    return Writer(scalars, image, events.close)
