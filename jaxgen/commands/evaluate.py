"""jaxgen evaluate: figures of a trained model, or of one set of images against another, on one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgen.commands import latent, likelihood, measure, metrics
from jaxgen.commands.accuracy import accuracy
from jaxgen.commands.latent import ends_of, interpolated, reconstruction_of, reconstructions
from jaxgen.commands.measure import Look
from jaxgen.commands.metrics import Chosen
from jaxgen.commands.model import Model, folder, labels_for, open_data
from jaxgen.commands.sample import STRIP, draw, path, rows_of
from jaxgen.configuration import plain
from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.paired import comparisons
from jaxgen.evaluate.paired.comparisons import Comparison
from jaxgen.evaluate.pictures.comparison import comparison
from jaxgen.evaluate.pictures.history import history
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.pictures.samples import sample_pictures
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream import statistics
from jaxgen.evaluate.stream.sides import Side, of_source, open_side, scaled
from jaxgen.io import plots, writers
from jaxgen.io.progress import progress
from jaxgen.io.question import digest
from jaxgen.io.rows import Rows, remove, share
from jaxgen.parallel import multihost

OF_MODEL = ("bpd", "reconstruction")
ROWS, FRAMES = 8, 9  # of interpolations


class Asked(NamedTuple):
    """What to measure, and how.

    metrics:    names of `jaxgen.commands.metrics`, and those of OF_MODEL.
    real:       the reference, see `jaxgen.evaluate.stream.sides`; None is the training data of the model.
    weights:    the file of each network.
    batch:      images that a network sees at a time, by default as many as suit it.
    image_size: to which the images of folders and data sets are cut and resampled, if at all.
    skip_bad:   whether damaged files of a folder are left out.
    """

    metrics: str
    real: str | None = None
    weights: Mapping[str, Path] = {}
    batch: int | None = None
    image_size: int | None = None
    skip_bad: bool = False


def evaluate(model: Model, asked: Asked, num: int, seed: int) -> str:
    """The figures asked for of `num` samples, by default against the training data, or the accuracy of a classifier,
    written to eval/<step>/ of the work directory and returned as text. Until then that folder keeps the samples and
    what was measured of them, with which the same command goes on where one was killed."""
    if model.recipe.classifier is not None:
        return of_model(model, *accuracy(model, seed), "A classifier of noisy images.")
    own, chosen, paired = names(asked.metrics)
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
        raise ValueError(f"--real is what samples are compared with, which --metrics={asked.metrics} does not do.")
    if "bpd" in own:
        bits, rows = likelihood.measured(model, seed=seed)
        found, used = found + bits, used + rows
    if "reconstruction" in own:
        figures, shown = reconstructions(model, seed)
        found, pictures = found + figures, pictures + shown
    if ends is not None:
        way = latent.rows(interpolated(model, ROWS, FRAMES, seed, *ends), model.run.spec.levels - 1)
        pictures.append(
            Picture(
                "Interpolations", way, "Between latent variables, along great circles; means where the model is random."
            )
        )
    said = of_model(model, found, pictures, f"Samples: {model.recipe.about['sampling']}.")
    remove(used)
    measure.forget(files)
    return said


class Named(NamedTuple):
    """What --metrics asks for: of a model itself, of two sets of images, and of images in pairs."""

    own: list[str]
    chosen: list[Chosen]
    paired: list[str]


def names(text: str) -> Named:
    """The metrics of --metrics, each once. Raises ValueError for others."""
    given = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in given:
        known = ", ".join((*metrics.ALIASES, *metrics.PAIRED, *OF_MODEL))
        raise ValueError(f"--metrics must be one or more of {known}, got {text!r}.")
    other = (*OF_MODEL, *metrics.PAIRED)
    return Named(
        [name for name in given if name in OF_MODEL],
        [metrics.parse(name) for name in given if name not in other],
        [name for name in given if name in metrics.PAIRED],
    )


def quality(
    model: Model, chosen: Sequence[Chosen], asked: Asked, samples: Rows, seed: int, labels: np.ndarray | None
) -> tuple[list[Result], list[Picture], list[Path]]:
    """Figures and pictures of the samples, which are drawn onto the disk and read from there, and files to forget."""
    networks = measure.opened(chosen, asked.weights)
    real = trained_on(model) if asked.real is None else opened(asked.real, asked)
    shape = (len(samples), *model.run.spec.shape)
    fake = drawn(model, np.broadcast_to(np.uint8(0), shape), digest(samples.question), labels)
    measure.check(chosen, real, fake)
    share(samples)
    draw(model, seed, labels, samples)
    fake = drawn(model, samples, digest(samples.question), labels)
    look = measure.look(chosen, networks, real, fake, (model.run.root / "eval", folder(model)), asked.batch)
    pictures = compared(fake, real, look)
    if model.recipe.trajectory:
        strip = path(model, min(len(samples), STRIP), seed, labels)
        pictures.append(Picture("Denoising", strip, "The way of the first samples, noise to image."))
    return look.figures, pictures, look.files


def trained_on(model: Model) -> Side:
    """The training data of the model."""
    data = model.run.config.data
    return of_source(open_data(model.run, data.split), f"{data.dataset}:{data.split}")


def drawn(model: Model, samples: Any, key: str, labels: np.ndarray | None = None) -> Side:
    """`samples` of the model in levels [n, H, W, C], which `key` decides."""
    spec = model.run.spec
    name = f"samples of step {model.step}"
    return Side(name, scaled(samples, spec.levels), labels, spec.class_names, levels=spec.levels, key=key)


def compare(fake: str, asked: Asked, out: Path) -> str:
    """The figures asked for of the images `fake` against others, written to `out` and returned as text."""
    own, chosen, paired = names(asked.metrics)
    if own:
        raise ValueError(f"{own[0]} is of a model: give --workdir, or leave it out of --metrics.")
    if asked.real is None:
        raise ValueError("--fake is compared with --real: give a folder, an .npz file or a tfds data set NAME:SPLIT.")
    networks = measure.opened(chosen, asked.weights)
    one_to_one = [metrics.open_comparison(name, asked.weights) for name in paired]
    left, right = opened(asked.real, asked), opened(fake, asked)
    measure.check(chosen, left, right)
    look = measure.look(chosen, networks, left, right, (out, out), asked.batch)
    figures = look.figures + in_pairs(one_to_one, left, right)
    about = {"real": asked.real, "fake": fake, "metrics": asked.metrics, "image_size": asked.image_size}
    title = f"{right.name} against {left.name}"
    said = written(out, title, figures, compared(right, left, look), about, "")
    measure.forget(look.files)
    return said


def in_pairs(which: Sequence[Comparison], real: Side, fake: Side) -> list[Result]:
    """Figures of image i of one side beside image i of the other."""
    if not which:
        return []
    with progress(len(fake), unit="pair") as show:
        return comparisons.paired(real.rows, fake.rows, which, show.update)


def save(asked: Asked, path: Path) -> str:
    """The statistics that the Fréchet distances asked for need of --real, written to `path`."""
    own, chosen, paired = names(asked.metrics)
    if asked.real is None or own or paired or any(one.metric.real != ("moments",) for one in chosen):
        raise ValueError("--save_statistics is of --real, for --metrics that are Fréchet distances, such as fid,sfid.")
    if len({one.network for one in chosen}) > 1 or chosen[0].network == metrics.PIXELS:
        raise ValueError(f"a file of statistics is of the features of one network, got --metrics={asked.metrics}.")
    networks = measure.opened(chosen, asked.weights)
    real = opened(asked.real, asked)
    measure.check(chosen, real, real)
    found, kept = measure.reference(chosen, networks, real, path.parent, asked.batch)
    if multihost.is_main():
        statistics.write(path, found, networks[chosen[0].network].name)
    measure.forget(kept)
    return f"wrote statistics of {len(real):,} images of {real.name} to {path}."


def opened(text: str, asked: Asked) -> Side:
    """A side that the command line names; data sets are prepared by the first process."""
    with multihost.main_first(f"{text} is prepared"):
        return open_side(text, asked.image_size, asked.skip_bad)


def compared(fake: Side, real: Side, look: Look) -> list[Picture]:
    """What is shown of both sides."""
    if look.rows is None:
        return sample_pictures(fake, real)
    return comparison(fake, real, look.rows[1], look.rows[0], look.space)


def of_model(model: Model, found: list[Result], pictures: list[Picture], summary: str) -> str:
    """The page of what was found of a model, and what it says as text."""
    run = model.run
    title = f"{run.config.family} on {run.config.data.dataset}, step {model.step:,}".replace("_", " ")
    shown = [*pictures, *training(model), *history(folder(model), found)]
    return written(folder(model), title, found, shown, plain(run.config), summary)


def written(
    where: Path, title: str, found: list[Result], pictures: list[Picture], about: Mapping[str, Any], summary: str
) -> str:
    """The page of what was found, and what it says as text."""
    if multihost.is_main():
        report(where, title, found, pictures, about, summary)
    return "\n".join([*map(line, found), f"wrote {where / 'report.html'}"])


def line(result: Result) -> str:
    error = "" if result.error is None else f" ± {result.error:.4f}"
    return f"{result.name:<22}{result.value:.4f}{error} {result.unit}".rstrip()


def training(model: Model) -> list[Picture]:
    """The curves of the losses."""
    rows = writers.read_jsonl(model.run.metrics) if model.run.metrics.exists() else []
    curves: dict[str, Any] = {}
    for name in sorted({name for row in rows for name in row if name.partition("/")[0] == "loss"}):
        known = [(row["step"], row[name]) for row in rows if name in row]
        if len(known) > 1:
            curves[name] = np.asarray(known).T
    return [Picture("Training", plots.loss_curve(curves), "Losses of single batches.")] if curves else []
