"""jaxgen evaluate: figures of a trained model, on one page."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from jaxgen.commands import likelihood
from jaxgen.commands.accuracy import accuracy
from jaxgen.commands.inception import INCEPTION, Network, measurement
from jaxgen.commands.model import Model, generate, generated, labels_for, open_data
from jaxgen.commands.sample import STRIP, path
from jaxgen.configuration import plain, unknown
from jaxgen.evaluate import pixels
from jaxgen.evaluate.inception import centre_of
from jaxgen.evaluate.report import Picture, report
from jaxgen.evaluate.result import Result
from jaxgen.io import images, plots, writers

PIXELS = {
    "fd": ("FDpix",),
    "prdc": ("precision", "recall", "density", "coverage"),
    "nn": ("nearest_train_median", "nearest_train_p05", "copies"),
}
METRICS = (*PIXELS, *INCEPTION, "bpd")
SHOWN = 64


def evaluate(model: Model, metrics: str, num: int, seed: int, network: Network) -> str:
    """The figures named in `metrics` of `num` samples against the training data, or the accuracy of a classifier,
    written to eval/<step>/ of the work directory and returned as text."""
    if model.recipe.classifier is not None:
        return written(model, *accuracy(model, seed), "A classifier of noisy images.")
    chosen = wanted(metrics, num, network)
    if "bpd" in chosen:
        likelihood.check(model)
    found, pictures = quality(model, chosen, num, seed, network) if {*chosen} - {"bpd"} else ([], [])
    if "bpd" in chosen:
        found += likelihood.results(model, seed=seed)
    return written(model, found, pictures, how(model))


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
    folder = run.root / "eval" / str(model.step)
    title = f"{run.config.sde.name} on {run.config.data.dataset}, step {model.step:,}"
    page = report(folder, title, found, pictures + training(model), plain(run.config), summary)
    return "\n".join([*map(line, found), f"wrote {page}"])


def line(result: Result) -> str:
    error = "" if result.error is None else f" ± {result.error:.4f}"
    return f"{result.name:<22}{result.value:.4f}{error} {result.unit}".rstrip()


def how(model: Model) -> str:
    """How the samples were drawn, in a sentence."""
    sampling, calls = model.run.config.sampling, model.recipe.evaluations
    cost = "" if calls is None else f", {calls} evaluations of the network an image"
    return f"Samples by {sampling.solver.name} on {sampling.steps} times of the {sampling.grid.name} grid{cost}."


def quality(
    model: Model, chosen: Sequence[str], num: int, seed: int, network: Network
) -> tuple[list[Result], list[Picture]]:
    """Figures and pictures of `num` samples, which are held together only where pixels are compared."""
    labels = labels_for(model.run, num)
    measured = measurement(model, chosen, network) if {*chosen} & {*INCEPTION} else None
    compared = {*chosen} & {*PIXELS}
    batches = iter([generate(model, num, seed, labels)]) if compared else generated(model, num, seed, labels)
    first = next(batches)
    pictures = [
        Picture("Samples", tiles(model, first[:SHOWN]), f"The first {min(len(first), SHOWN)} of {num}, seed {seed}.")
    ]
    if model.recipe.trajectory:
        strip = path(model, min(num, STRIP), seed, labels)
        pictures.append(Picture("Denoising", strip, "The way of the first samples, noise to image."))
    found = []
    if compared:
        figures, neighbours = pixelwise(model, first)
        names = [name for group in chosen for name in PIXELS.get(group, ())]
        found += [figure for figure in figures if figure.name in names]
        pictures += neighbours
    if measured:
        found += measured(chain([first], batches), num)
    return found, pictures


def pixelwise(model: Model, x: np.ndarray) -> tuple[list[Result], list[Picture]]:
    """Figures and pictures of the samples `x` beside the training images, pixel by pixel."""
    run = model.run
    train = open_data(run, run.config.data.split).records[:]["x"]
    figures, near = pixels.compare(x, train, run.spec.levels)
    closest = np.argsort(near.distances, kind="stable")[: SHOWN // 2]
    pairs = np.stack([x[closest], train[near.indices[closest]]], 1).reshape(-1, *run.spec.shape)
    return figures, [
        Picture(
            "Nearest training images",
            tiles(model, pairs, 8),
            "The samples closest to a training image, each left of it.",
        ),
        Picture("Distances", plots.histogram({"samples": near.distances}, "distance to the nearest training image")),
    ]


def tiles(model: Model, x: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images in levels side by side."""
    return images.grid(images.to_uint8(x, 0, model.run.spec.levels - 1), columns)


def training(model: Model) -> list[Picture]:
    """The curve of the loss."""
    rows = writers.read_jsonl(model.run.metrics) if model.run.metrics.exists() else []
    if len(rows) < 2:
        return []
    steps, losses = zip(*((row["step"], row["loss"]) for row in rows), strict=True)
    return [Picture("Training", plots.loss_curve({"loss": (steps, losses)}), "Loss of single batches.")]
