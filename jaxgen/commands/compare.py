"""jaxgen evaluate --fake: figures of one set of images, alone or against another, and statistics of one."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxgen.commands import comparable, measure, metrics
from jaxgen.commands.asked import Asked, opened
from jaxgen.commands.page import compared, written
from jaxgen.evaluate.paired import comparisons
from jaxgen.evaluate.paired.comparisons import Comparison
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream import statistics
from jaxgen.evaluate.stream.captions import text_to_image
from jaxgen.evaluate.stream.sides import Side
from jaxgen.io.location import check_file, check_folder, readable
from jaxgen.io.progress import progress
from jaxgen.parallel import multihost

NOTHING = Side("nothing", ())


def compare(fake: str, asked: Asked, out: Path) -> str:
    """The figures asked for of the images `fake`, against others where one of them needs these, written to `out` and
    returned as text."""
    own, chosen, paired, _ = asked.metrics
    check_folder("--out", out)
    if own:
        raise ValueError(f"{own[0]} is of a model: give --workdir, or leave it out of --metrics.")
    needing = [*paired, *(one.name for one in chosen if one.metric.real)]
    if asked.real is None and needing:
        raise ValueError(
            f"{needing[0]} compares --fake with --real: give a folder, an .npz file or a tfds data set NAME:SPLIT."
        )
    networks = measure.opened(chosen, asked.weights)
    one_to_one = [metrics.open_comparison(name, asked.weights) for name in paired]
    left = NOTHING if asked.real is None else opened(asked.real, asked)
    right = opened(fake, asked)
    if left.key == right.key:
        warnings.warn(f"--real and --fake are the same images, {fake}.", stacklevel=2)
    comparable.check(chosen, networks, left, right)
    comparable.check_pairs(paired, one_to_one, left, right)
    if asked.captions is not None:
        text_to_image(asked.captions, left, right, None, "")
    look = measure.look(chosen, networks, left, right, (out, out), asked.batch, asked.captions)
    figures = look.figures + in_pairs(one_to_one, left, right)
    about: dict[str, Any] = {"real": asked.real, "fake": fake, "metrics": asked.metrics.text}
    about |= {"image_size": asked.image_size, "skip_bad": asked.skip_bad}
    if asked.skip_bad:
        about["left_out"] = {"real": left.left_out, "fake": right.left_out}
    title = right.name if asked.real is None else f"{right.name} against {left.name}"
    said = written(out, title, figures, compared(right, left, look), about, "")
    measure.forget(look.files)
    return said


def in_pairs(which: Sequence[Comparison], real: Side, fake: Side) -> list[Result]:
    """Figures of image i of one side beside image i of the other."""
    if not which:
        return []
    with progress(len(fake), unit="pair") as show:
        return comparisons.paired(real.rows, fake.rows, which, show.update, (real.files, fake.files))


def save(asked: Asked, path: Path) -> str:
    """The statistics that the Fréchet distances asked for need of --real, written to `path`."""
    own, chosen, paired, text = asked.metrics
    if path.suffix != ".npz":
        raise ValueError(f"--save_statistics must end in .npz, as --real is to take it, got {path}.")
    if asked.real is None or own or paired or any(one.metric.real != ("moments",) for one in chosen):
        raise ValueError("--save_statistics is of --real, for --metrics that are Fréchet distances, such as fid,sfid.")
    if len({one.network for one in chosen}) > 1 or chosen[0].network == metrics.PIXELS:
        raise ValueError(f"a file of statistics is of the features of one network, got --metrics={text}.")
    check_file("--save_statistics", path)
    networks = measure.opened(chosen, asked.weights)
    real = opened(asked.real, asked)
    if measure.only_statistics(real):
        raise ValueError(f"--save_statistics measures images, of which {real.name} has statistics only: give a folder.")
    real = replace(real, statistics=None)
    comparable.check(chosen, networks, real, real)
    found, kept = measure.reference(chosen, networks, real, path.parent, asked.batch)
    if multihost.is_main():
        statistics.write(path, found, networks[chosen[0].network].name)
    measure.forget(kept)
    return f"wrote statistics of {len(real):,} images of {real.name} to {readable(path)}."
