"""jaxgen likelihood: bits per dimension of splits of the data, a table of any models."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from jaxgen.commands import question
from jaxgen.commands.model import Model, folder, open_data
from jaxgen.data import Source
from jaxgen.evaluate.nll import bits_per_dim
from jaxgen.evaluate.result import Result, mean_and_error
from jaxgen.io.progress import Progress, progress
from jaxgen.io.rows import Rows, complete, remove, share
from jaxgen.parallel.batched import batch_of, streamed

CONVENTION = "-log2 P(x) / D of integer images x of D dimensions, in bits: a bin is one level wide; ± standard error"


def likelihood(models: Iterable[Model], splits: str | None, num: int | None, seed: int) -> str:
    """A table: every likelihood that each model has, a row each, on each of the comma-separated `splits`."""
    rows: list[tuple[str, ...]] = [(CONVENTION,)]
    for model in models:
        chosen = [split.strip() for split in (splits or model.run.config.data.test_split).split(",")]
        columns = [results(model, split, num, seed) for split in chosen]
        counts = [f"{split}, {column[0].n} images" for split, column in zip(chosen, columns, strict=True)]
        levels, dim = model.run.spec.levels, math.prod(model.run.spec.shape)
        rows += [("",), (f"{model.run.root}, step {model.step}", *counts, f"D = {dim}, {levels} levels")]
        for of_splits in zip(*columns, strict=True):
            figures = [f"{result.value:.4f} ± {result.error:.4f}" for result in of_splits]
            rows.append((of_splits[0].name, *figures, of_splits[0].definition))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The rows as text, their cells one below the other; the last cell of a row is as wide as it is."""
    widths: dict[int, int] = {}
    for row in rows:
        widths |= {i: max(widths.get(i, 0), len(cell)) for i, cell in enumerate(row[:-1])}
    lines = ["  ".join([*(cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])), row[-1]]) for row in rows]
    return "\n".join(line.strip() for line in lines)


def check(model: Model) -> None:
    """Raises ValueError unless the model has a likelihood."""
    if model.recipe.likelihoods:
        return
    reason = f"its family is {model.run.config.family}."
    if model.recipe.classifier is not None:
        reason = "it is a classifier."
    if model.guide:
        reason = "a classifier guides it. Drop --classifier for that of the model."
    raise ValueError(f"the model in {model.run.root} has no likelihood: {reason}")


def draw_of(nats: Callable[..., Array]) -> Callable[..., Array]:
    """nats(params, keys, x, cond) with the keys of the k-th draw of each example's noise: fold_in(key, k)."""

    def drawn(params: Any, keys: Array, x: Array, cond: Array | None, k: Array) -> Array:
        return nats(params, jax.vmap(jax.random.fold_in)(keys, k), x, cond)

    return drawn


def results(model: Model, split: str | None = None, num: int | None = None, seed: int = 0) -> list[Result]:
    """Bits/dim of the first `num` images of `split` (default: all of the test split), each averaged over
    likelihood.draws of its noise where it draws any; the error is that of the mean over images."""
    found, used = measured(model, split, num, seed)
    remove(used)
    return found


def measured(
    model: Model, split: str | None = None, num: int | None = None, seed: int = 0
) -> tuple[list[Result], list[Rows]]:
    """`results`, and the rows in eval/<step>/ of the work directory that they rest on: log P(x) of every image and
    draw, with which the same command goes on where one was killed."""
    check(model)
    config = model.run.config
    split = split or config.data.test_split
    source = open_data(model.run, split)
    if source.spec.shape != model.run.spec.shape:
        raise ValueError(f"the model has images {model.run.spec.shape}, but {split} of the data {source.spec.shape}.")
    n = source.spec.size if num is None else min(num, source.spec.size)
    if n < 2:
        raise ValueError(f"the error of a mean likelihood needs at least 2 images, got {n}.")
    told = ", given the class" if config.data.conditional else ""
    found, used = [], []
    for name, (nats, definition, noise) in model.recipe.likelihoods.items():
        count = config.likelihood.draws if noise else 1
        draws = f", mean of {count} draw{'s' * (count > 1)} of noise" if noise else ""
        asked = question.of_likelihood(model, name, split, source.spec.size, seed)
        size = batch_of(n, config.sampling.batch_size, model.mesh)
        stream, logp = streamed(draw_of(nats), model.mesh), np.zeros(n)
        with progress(n * count, unit="image") as show:
            for k in range(count):
                rows = Rows(folder(model) / f"{name}_{k}", {"draw": k, **asked}, n, size)
                share(rows)
                images = partial(images_of, source, config.data.conditional, k)
                compute = partial(stream, model.params, seed, images, n, config.sampling.batch_size)
                complete(rows, compute, partial(advance, show, k * n))
                logp += np.concatenate([*rows])
                used.append(rows)
        value, error = mean_and_error(bits_per_dim(logp / count, math.prod(source.spec.shape)))
        found.append(Result(name, value, f"{definition}{told}{draws}", n, error, "bits/dim", f"Likelihood of {split}"))
    return found, used


def advance(show: Progress, before: int, done: int) -> None:
    show.update(before + done)


def images_of(source: Source, labelled: bool, k: int, rows: np.ndarray) -> tuple[np.ndarray | None, ...]:
    """What `draw_of` takes of these rows of a split, for draw k."""
    batch = source.records[rows]
    return batch["x"], batch["label"] if labelled else None, np.full(len(rows), k, np.int32)
