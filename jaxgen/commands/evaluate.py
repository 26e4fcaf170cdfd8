"""jaxgen evaluate --workdir: figures of a trained model on one page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.commands import comparable, latent, likelihood, measure
from jaxgen.commands.accuracy import accuracy
from jaxgen.commands.asked import Asked, opened
from jaxgen.commands.latent import ends_of, interpolated, reconstruction_of, reconstructions
from jaxgen.commands.metrics import Chosen
from jaxgen.commands.model import Model, folder, labels_for, open_data
from jaxgen.commands.page import compared, written
from jaxgen.commands.sample import STRIP, draw, path, rows_of
from jaxgen.configuration import plain
from jaxgen.evaluate.pictures.history import history
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream.sides import Side, of_source, scaled, stored
from jaxgen.io import plots, writers
from jaxgen.io.question import digest
from jaxgen.io.rows import Rows, remove, share

ROWS, FRAMES = 8, 9  # of interpolations


def evaluate(model: Model, asked: Asked, num: int, seed: int) -> str:
    """The figures asked for of `num` samples, by default against the training data, or the accuracy of a classifier,
    written to eval/<step>/ of the work directory and returned as text. Until then that folder keeps the samples and
    what was measured of them, with which the same command goes on where one was killed."""
    if model.recipe.classifier is not None:
        return of_model(model, *accuracy(model, seed), "A classifier of noisy images.")
    own, chosen, paired, text = asked.metrics
    if paired:
        raise ValueError(f"{paired[0]} compares images one to one, which samples are not: give --real and --fake.")
    if "bpd" in own:
        likelihood.check(model)
    if "reconstruction" in own:
        reconstruction_of(model.recipe)
    ends = None if model.recipe.decode is None else ends_of(model, ROWS)
    found: list[Result] = []
    pictures: list[Picture] = []
    used: list[Rows] = []
    files: list[Path] = []
    if chosen:
        labels = labels_for(model.run, num)
        samples = rows_of(model, folder(model) / "samples", num, seed, labels)
        used = [samples]
        found, pictures, files = quality(model, chosen, asked, samples, seed, labels)
    elif asked.real is not None:
        raise ValueError(f"--real is what samples are compared with, which --metrics={text} does not do.")
    if "bpd" in own:
        bits, rows = likelihood.measured(model, seed=seed)
        found, used = found + bits, used + rows
    if "reconstruction" in own:
        figures, shown = reconstructions(model, seed)
        found, pictures = found + figures, pictures + shown
    if ends is not None:
        pictures.append(interpolations(model, seed, *ends))
    said = of_model(model, found, pictures, f"Samples: {model.recipe.about['sampling']}.")
    remove(used)
    measure.forget(files)
    return said


def quality(
    model: Model, chosen: Sequence[Chosen], asked: Asked, samples: Rows, seed: int, labels: np.ndarray | None
) -> tuple[list[Result], list[Picture], list[Path]]:
    """Figures and pictures of the samples, which are drawn onto the disk and read from there, and files to forget."""
    networks = measure.opened(chosen, asked.weights)
    real = trained_on(model) if asked.real is None else opened(asked.real, asked)
    shape = (len(samples), *model.run.spec.shape)
    fake = drawn(model, np.broadcast_to(np.uint8(0), shape), digest(samples.question), labels)
    comparable.check(chosen, networks, real, fake)
    share(samples)
    draw(model, seed, labels, samples)
    fake = drawn(model, samples, digest(samples.question), labels)
    look = measure.look(chosen, networks, real, fake, (model.run.root / "eval", folder(model)), asked.batch)
    pictures = compared(fake, real, look)
    if model.recipe.trajectory:
        strip = path(model, min(len(samples), STRIP), seed, labels)
        pictures.append(Picture("Denoising", strip, "The way of the first samples, noise to image."))
    return look.figures, pictures, look.files


def interpolations(model: Model, seed: int, pairs: np.ndarray | None, labels: np.ndarray | None) -> Picture:
    """Between `pairs` of images; why not, where a latent variable on the way has none, as a flow's that overflows."""
    title, way = "Interpolations", "Between latent variables, along great circles"
    try:
        found = interpolated(model, ROWS, FRAMES, seed, pairs, labels)
    except ValueError as error:
        return Picture(title, None, f"{way}: {error}")
    shown = latent.rows(found, model.run.spec.levels - 1)
    return Picture(title, shown, f"{way}; means where the model is random.")


def trained_on(model: Model) -> Side:
    """The training data of the model."""
    data = model.run.config.data
    source = open_data(model.run, data.split)
    found = of_source(source, f"{data.dataset}:{data.split}", files=stored(data.dataset, data.data_dir))
    return replace(found, role="train")


def drawn(model: Model, samples: Any, key: str, labels: np.ndarray | None = None) -> Side:
    """`samples` of the model in levels [n, H, W, C], which `key` decides."""
    spec = model.run.spec
    name = f"samples of step {model.step}"
    return Side(name, scaled(samples, spec.levels), labels, spec.class_names, levels=spec.levels, key=key)


def of_model(model: Model, found: list[Result], pictures: list[Picture], summary: str) -> str:
    """The page of what was found of a model, and what it says as text."""
    run = model.run
    title = f"{run.config.family} on {run.config.data.dataset}, step {model.step:,}".replace("_", " ")
    shown = [*pictures, *training(model), *history(folder(model), found)]
    return written(folder(model), title, found, shown, plain(run.config), summary)


def training(model: Model) -> list[Picture]:
    """The curves of the losses."""
    rows = writers.read_jsonl(model.run.metrics) if model.run.metrics.exists() else []
    curves: dict[str, Any] = {}
    for name in sorted({name for row in rows for name in row if name.partition("/")[0] == "loss"}):
        known = [(row["step"], row[name]) for row in rows if name in row]
        if len(known) > 1:
            curves[name] = np.asarray(known).T
    return [Picture("Training", plots.loss_curve(curves), "Losses of single batches.")] if curves else []
