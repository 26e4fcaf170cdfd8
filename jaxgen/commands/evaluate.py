"""jaxgen evaluate: figures of a trained model, on one page."""

from collections.abc import Sequence

import numpy as np

from jaxgen.commands import likelihood
from jaxgen.commands.model import Model, generate, labels_for, open_data
from jaxgen.commands.sample import STRIP, path
from jaxgen.configuration import plain, unknown
from jaxgen.evaluate import pixels
from jaxgen.evaluate.report import Picture, report
from jaxgen.evaluate.result import Result
from jaxgen.io import images, plots, writers

FIGURES = {
    "fd": ("FDpix",),
    "prdc": ("precision", "recall", "density", "coverage"),
    "nn": ("nearest_train_median", "nearest_train_p05", "copies"),
    "bpd": (),
}
SHOWN = 64


def evaluate(model: Model, metrics: str, num: int, seed: int) -> str:
    """The figures named in `metrics` of `num` samples against the training data, written to eval/<step>/ of the work
    directory and returned as text."""
    chosen = [name.strip() for name in metrics.split(",")]
    for name in chosen:
        if name not in FIGURES:
            raise unknown("metric", name, FIGURES)
    found, pictures = quality(model, chosen, num, seed) if {*chosen} - {"bpd"} else ([], [])
    if "bpd" in chosen:
        found += likelihood.results(model, seed=seed)
    run = model.run
    folder = run.root / "eval" / str(model.step)
    title = f"{run.config.sde.name} on {run.config.data.dataset}, step {model.step:,}"
    page = report(folder, title, found, pictures + training(model), plain(run.config), how(model))
    return "\n".join([*map(line, found), f"wrote {page}"])


def line(result: Result) -> str:
    error = "" if result.error is None else f" ± {result.error:.4f}"
    return f"{result.name:<22}{result.value:.4f}{error} {result.unit}".rstrip()


def how(model: Model) -> str:
    """How the samples were drawn, in a sentence."""
    sampling, calls = model.run.config.sampling, model.recipe.evaluations
    cost = "" if calls is None else f", {calls} evaluations of the network an image"
    return f"Samples by {sampling.solver.name} on {sampling.steps} times of the {sampling.grid.name} grid{cost}."


def quality(model: Model, chosen: Sequence[str], num: int, seed: int) -> tuple[list[Result], list[Picture]]:
    """Figures and pictures of `num` samples."""
    run = model.run
    train = open_data(run, run.config.data.split).records[:]["x"]
    labels = labels_for(run, num)
    x = generate(model, num, seed, labels)
    figures, near = pixels.compare(x, train, run.spec.levels)
    wanted = [name for group in chosen for name in FIGURES[group]]

    def shown(x: np.ndarray, columns: int | None = None) -> np.ndarray:
        return images.grid(images.to_uint8(x, 0, run.spec.levels - 1), columns)

    closest = np.argsort(near.distances, kind="stable")[: SHOWN // 2]
    pairs = np.stack([x[closest], train[near.indices[closest]]], 1).reshape(-1, *run.spec.shape)
    way = [
        Picture(
            "Denoising", path(model, min(num, STRIP), seed, labels), "The way of the first samples, noise to image."
        )
    ]
    return [figure for figure in figures if figure.name in wanted], [
        Picture("Samples", shown(x[:SHOWN]), f"The first {min(num, SHOWN)} of {num}, seed {seed}."),
        *(way if model.recipe.trajectory else ()),
        Picture(
            "Nearest training images", shown(pairs, 8), "The samples closest to a training image, each left of it."
        ),
        Picture("Distances", plots.histogram({"samples": near.distances}, "distance to the nearest training image")),
    ]


def training(model: Model) -> list[Picture]:
    """The curve of the loss."""
    rows = writers.read_jsonl(model.run.metrics) if model.run.metrics.exists() else []
    if len(rows) < 2:
        return []
    steps, losses = zip(*((row["step"], row["loss"]) for row in rows), strict=True)
    return [Picture("Training", plots.loss_curve({"loss": (steps, losses)}), "Loss of single batches.")]
