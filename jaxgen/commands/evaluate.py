"""jaxgen evaluate: figures of a trained model, on one page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.commands import latent, likelihood
from jaxgen.commands.accuracy import accuracy
from jaxgen.commands.inception import INCEPTION, Network, measurement
from jaxgen.commands.latent import ends_of, interpolated, reconstruction_of, reconstructions
from jaxgen.commands.model import Model, folder, labels_for, open_data
from jaxgen.commands.sample import STRIP, draw, path, rows_of
from jaxgen.configuration import plain, unknown
from jaxgen.evaluate import pixels
from jaxgen.evaluate.blocks import View
from jaxgen.evaluate.inception import centre_of
from jaxgen.evaluate.report import Picture, report
from jaxgen.evaluate.result import Result
from jaxgen.io import images, plots, writers
from jaxgen.io.rows import Rows, remove, share
from jaxgen.parallel import multihost

PIXELS = {
    "fd": ("FDpix",),
    "prdc": ("precision", "recall", "density", "coverage"),
    "nn": ("nearest_train_median", "nearest_train_p05", "copies"),
}
OF_SAMPLES = (*PIXELS, *INCEPTION)
METRICS = (*OF_SAMPLES, "bpd", "reconstruction")
SHOWN = 64
ROWS, FRAMES = 8, 9  # of interpolations


def evaluate(model: Model, metrics: str, num: int, seed: int, network: Network) -> str:
    """The figures named in `metrics` of `num` samples against the training data, or the accuracy of a classifier,
    written to eval/<step>/ of the work directory and returned as text. Until then that folder keeps the samples and
    what was measured of them, with which the same command goes on where one was killed."""
    if model.recipe.classifier is not None:
        return written(model, *accuracy(model, seed), "A classifier of noisy images.")
    chosen = wanted(metrics, num, network)
    if "bpd" in chosen:
        likelihood.check(model)
    if "reconstruction" in chosen:
        reconstruction_of(model.recipe)
    ends = None if model.recipe.decode is None else ends_of(model, ROWS)
    found: list[Result] = []
    pictures: list[Picture] = []
    used: list[Rows] = []
    if {*chosen} & {*OF_SAMPLES}:
        labels = labels_for(model.run, num)
        samples = rows_of(model, folder(model) / "samples", num, seed, labels)
        found, pictures = quality(model, chosen, samples, seed, labels, network)
        used = [samples]
    if "bpd" in chosen:
        bits, rows = likelihood.measured(model, seed=seed)
        found, used = found + bits, used + rows
    if "reconstruction" in chosen:
        figures, shown = reconstructions(model, seed)
        found, pictures = found + figures, pictures + shown
    if ends is not None:
        way = latent.rows(interpolated(model, ROWS, FRAMES, seed, *ends), model.run.spec.levels - 1)
        pictures.append(
            Picture(
                "Interpolations", way, "Between latent variables, along great circles; means where the model is random."
            )
        )
    said = written(model, found, pictures, how(model))
    remove(used)
    return said


def wanted(metrics: str, num: int, network: Network) -> list[str]:
    """The names in `metrics`, which `num` samples and `network` are enough for: known before any sample is drawn."""
    chosen = [name.strip() for name in metrics.split(",")]
    for name in chosen:
        if not name:
            raise ValueError(f"--metrics must be one or more of {', '.join(METRICS)}, got {metrics!r}.")
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    if {*chosen} & {*PIXELS} and num < pixels.FEWEST:
        raise ValueError(f"--metrics={metrics} needs at least {pixels.FEWEST} samples, got --num={num}.")
    centre_of(network.rule)
    if network.reference is not None and "fid" not in chosen:
        raise ValueError(f"--reference goes with --metrics=fid, got --metrics={metrics}.")
    return chosen


def written(model: Model, found: list[Result], pictures: list[Picture], summary: str) -> str:
    """The page of what was found, and what it says as text."""
    run = model.run
    title = f"{run.config.family} on {run.config.data.dataset}, step {model.step:,}".replace("_", " ")
    page = folder(model) / "report.html"
    if multihost.is_main():
        report(folder(model), title, found, pictures + training(model), plain(run.config), summary)
    return "\n".join([*map(line, found), f"wrote {page}"])


def line(result: Result) -> str:
    error = "" if result.error is None else f" ± {result.error:.4f}"
    return f"{result.name:<22}{result.value:.4f}{error} {result.unit}".rstrip()


def how(model: Model) -> str:
    """How the samples were drawn, in a sentence."""
    return f"Samples: {model.recipe.about['sampling']}."


def quality(
    model: Model, chosen: Sequence[str], samples: Rows, seed: int, labels: np.ndarray | None, network: Network
) -> tuple[list[Result], list[Picture]]:
    """Figures and pictures of the samples, which are drawn onto the disk and read from there."""
    num = len(samples)
    measured = measurement(model, chosen, network) if {*chosen} & {*INCEPTION} else None
    share(samples)
    draw(model, seed, labels, samples)
    first = samples[:SHOWN]
    pictures = [Picture("Samples", tiles(model, first), f"The first {len(first)} of {num}, seed {seed}.")]
    if model.recipe.trajectory:
        strip = path(model, min(num, STRIP), seed, labels)
        pictures.append(Picture("Denoising", strip, "The way of the first samples, noise to image."))
    found = []
    if {*chosen} & {*PIXELS}:
        figures, neighbours = pixelwise(model, samples)
        names = [name for group in chosen for name in PIXELS.get(group, ())]
        found += [figure for figure in figures if figure.name in names]
        pictures += neighbours
    if measured:
        found += measured(samples, num, samples.running)
    return found, pictures


def pixelwise(model: Model, samples: Rows) -> tuple[list[Result], list[Picture]]:
    """Figures and pictures of the samples beside the training images, pixel by pixel."""
    run = model.run
    train = View(open_data(run, run.config.data.split).records, lambda batch: batch["x"])
    figures, near = pixels.compare(samples, train, run.spec.levels)
    closest = np.argsort(near.distances, kind="stable")[: SHOWN // 2]
    pairs = [rows[i : i + 1] for sample in closest for rows, i in ((samples, sample), (train, near.indices[sample]))]
    return figures, [
        Picture(
            "Nearest training images",
            tiles(model, np.concatenate(pairs), 8),
            "The samples closest to a training image, each left of it.",
        ),
        Picture("Distances", plots.histogram({"samples": near.distances}, "distance to the nearest training image")),
    ]


def tiles(model: Model, x: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images in levels side by side."""
    return images.grid(images.to_uint8(x, 0, model.run.spec.levels - 1), columns)


def training(model: Model) -> list[Picture]:
    """The curves of the losses."""
    rows = writers.read_jsonl(model.run.metrics) if model.run.metrics.exists() else []
    curves: dict[str, Any] = {}
    for name in sorted({name for row in rows for name in row if name.partition("/")[0] == "loss"}):
        known = [(row["step"], row[name]) for row in rows if name in row]
        if len(known) > 1:
            curves[name] = np.asarray(known).T
    return [Picture("Training", plots.loss_curve(curves), "Losses of single batches.")] if curves else []
