"""The part of jaxgen evaluate that looks at images through the Inception network: FID and IS."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxgen.commands.model import Model, open_data
from jaxgen.evaluate import inception, running, statistics
from jaxgen.evaluate.features import Extractor
from jaxgen.evaluate.frechet import Moments
from jaxgen.evaluate.result import Result
from jaxgen.io import images
from jaxgen.io.progress import progress
from jaxgen.parallel import multihost

INCEPTION = ("fid", "is")
READ = 200  # training images at a time


class Network(NamedTuple):
    """Files and conventions of the figures in INCEPTION.

    weights:   the published file of the network.
    rule:      how pixels become its input, one of `jaxgen.evaluate.inception.INPUTS`.
    reference: statistics of the training data; without it they are measured.
    """

    weights: Path | None
    rule: str
    reference: Path | None


def measurement(model: Model, chosen: Sequence[str], network: Network) -> Callable[..., list[Result]]:
    """(batches of images in levels, how many in all, file of running statistics=None) -> those figures of INCEPTION
    that are `chosen`. What the file holds is of the first images of the same stream, which are passed by."""
    extractor = inception.open_extractor(network.weights, network.rule)
    training = reference(model, extractor, network.reference) if "fid" in chosen else None

    def measure(batches: Iterable[np.ndarray], num: int, kept: Path | None = None) -> list[Result]:
        before, keep = (None, lambda running: None) if kept is None else resumable(kept, extractor.name)
        with progress(num, 0 if before is None else int(before[0].n), unit="image") as show:
            moments, sums = inception.measure(extractor, as_uint8(model, batches), show.update, before, keep)
        figures = [] if training is None else [inception.fid(extractor, moments, *training)]
        return figures + ([inception.score(extractor, sums)] if "is" in chosen else [])

    return measure


def resumable(kept: Path, network: str) -> tuple[inception.Running | None, Callable[[inception.Running], None]]:
    """The running statistics in the file `kept` if they are of features of `network`, and what keeps new ones there.
    All processes must find the same."""
    found = running.read(kept, network)
    counts = multihost.agree(np.float64(0 if found is None else found[0].n))

    def keep(statistics: inception.Running) -> None:
        if multihost.is_main():
            running.write(kept, statistics, network)

    return (found if (counts == counts[0]).all() else None), keep


def reference(model: Model, extractor: Extractor, file: Path | None) -> tuple[Moments, str]:
    """Moments of the features of the training data, and where they are from: `file`, or else all of the training split,
    measured once and kept in eval/ of the work directory."""
    if file is not None:
        return statistics.read(file, extractor.name), f"the statistics in {file.name}"
    run = model.run
    split = run.config.data.split
    kept = run.root / "eval" / f"inception_{zlib.crc32(f'{split}, {extractor.name}'.encode()):08x}.npz"
    if not multihost.agree(kept.exists())[0]:
        source = open_data(run, split)
        n = source.spec.size
        batches = (source.records[start : start + READ]["x"] for start in range(0, n, READ))
        before, keep = resumable(kept.with_suffix(".running.npz"), f"{n} images, {extractor.name}")
        with progress(n, 0 if before is None else int(before[0].n), unit="image") as show:
            moments, _ = inception.measure(extractor, as_uint8(model, batches), show.update, before, keep)
        if multihost.is_main():
            statistics.write(kept, moments, extractor.name)
            kept.with_suffix(".running.npz").unlink(missing_ok=True)
        multihost.barrier("the training data are measured")
    moments = statistics.read(kept, extractor.name)
    return moments, f"the {int(moments.n):,} images of {split}"


def as_uint8(model: Model, batches: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """Images in levels as the network sees them, 0 ... 255."""
    return (images.to_uint8(x, 0, model.run.spec.levels - 1) for x in batches)
