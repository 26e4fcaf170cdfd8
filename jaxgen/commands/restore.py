"""jaxgen restore: what a trained model makes of images of which only a part is known."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen import data
from jaxgen.commands.model import Model, labels_for, open_data, sampler_of
from jaxgen.commands.problems import Problem, degradation, masks_of
from jaxgen.conditioning import Control, dps, known, pigdm, posterior_variance, replaced
from jaxgen.configuration import unknown
from jaxgen.data import Source, Spec
from jaxgen.io import images
from jaxgen.io.progress import progress
from jaxgen.operators import Operator
from jaxgen.parallel.batched import batched

ROWS = 8  # of a picture


def by_replacement(operator: Operator, y: Array, sigma_data: float, weight: float) -> Control:
    if weight != 1:
        raise ValueError(f"--weight={weight:g} is of the guidance by pigdm and dps; replacement has none: drop it.")
    return Control(solver=replaced(operator, y), finish=known(operator, y))


def by_pigdm(operator: Operator, y: Array, sigma_data: float, weight: float) -> Control:
    guide = pigdm(operator, y, posterior_variance(sigma_data), weight=weight)
    return Control(guide, finish=known(operator, y))


def by_dps(operator: Operator, y: Array, sigma_data: float, weight: float) -> Control:
    return Control(dps(operator, y, weight=weight), finish=known(operator, y))


METHODS = {"replacement": by_replacement, "pigdm": by_pigdm, "dps": by_dps}


def restore(
    model: Model,
    problem: Problem,
    method: str,
    weight: float,
    folder: Path | None,
    num: int,
    seed: int,
    label: str | None,
    out: str,
) -> str:
    """The first `num` images of the test split, or of `folder`, degraded as `problem` says and restored by `method`: a
    row each in the picture `out`, as they were, as they were seen, and restored, side by side where there are more than
    8. Says how far the result is from what was seen and from the truth."""
    run, spec = model.run, model.run.spec
    draw = sampler_of(model.recipe)
    enter = model.recipe.enter
    degraded, task = degradation(problem, spec), problem.task
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if not out.endswith(".png"):
        raise ValueError(f"--out must end in .png, got {out}.")
    if enter is None or run.statistics is None:
        raise ValueError(f"the model in {run.root} has not seen its data, which restore needs to know the spread of.")
    if task != "inpaint" and run.config.data.space.name != "linear":
        raise ValueError(
            f"--task={task} measures means of pixels, which are no means in the space {run.config.data.space.name}: "
            "take --task=inpaint, or a model with data.space=linear."
        )
    sigma_data = run.statistics.sigma_data
    x, labels = given(model, folder, num, label)
    num = len(x)
    nowhere = np.zeros((num, *spec.shape[:2], 1), np.float32)
    known_where = masks_of(problem.mask, spec.shape, num, seed) if task == "inpaint" else nowhere

    def restored(params: Any, keys: Array, x: Array, where: Array, cond: Array | None) -> Array:
        z, operator = enter(keys, x), degraded.operator(where)
        return draw(params, keys, cond, METHODS[method](operator, operator.forward(z), sigma_data, weight))

    def one(params: Any, key: Array, *example: Any) -> Array:
        return restored(params, key[None], *jax.tree.map(lambda leaf: leaf[None], example))[0]

    # A solver that chooses its own steps takes the images one by one, and so must what measures them.
    adaptive = model.recipe.evaluations is None
    function = jax.vmap(one, in_axes=(None, 0, 0, 0, None if labels is None else 0)) if adaptive else restored
    with progress(num, unit="image") as show:
        made = batched(function)(
            model.params, seed, (x, known_where, labels), num, run.config.sampling.batch_size, show.update
        )

    where = jnp.asarray(known_where)
    operator = degraded.operator(where)
    truth, result = (np.asarray(part, np.float32) for part in (x, made))
    y = operator.forward(jnp.asarray(truth))
    seen = np.asarray(degraded.shown(y, where))
    top = spec.levels - 1
    columns = np.stack([images.to_uint8(part, 0, top) for part in (truth, seen, result)], 1)
    images.save(out, images.grid(columns.reshape(-1, *spec.shape), 3 * math.ceil(num / ROWS)))
    missed = np.asarray(operator.forward(jnp.asarray(result)) - y) / top
    hidden = np.broadcast_to(1 - known_where, truth.shape) > 0
    mse = float(np.mean(np.square((result - truth)[hidden] / top)))
    error, psnr = np.sqrt(np.mean(missed**2)), -10 * np.log10(max(mse, 1e-12))
    return (
        f"restored {num} images by {method}: measurement error {error:.4f} (1 is the full range), PSNR {psnr:.1f} dB "
        f"where pixels were unknown; wrote {out}."
    )


def given(model: Model, folder: Path | None, num: int, label: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The images to restore [n, H, W, C], in the levels of the model, and the classes that it is told."""
    run = model.run
    source = open_data(run, run.config.data.test_split) if folder is None else in_folder(folder, run.spec)
    if source.spec.shape != run.spec.shape:
        raise ValueError(f"the model has images {run.spec.shape}, but those to restore are {source.spec.shape}.")
    batch = source.records[np.arange(min(num, source.spec.size))]
    x = batch["x"]
    if source.spec.levels != run.spec.levels:
        x = np.rint(x * ((run.spec.levels - 1) / (source.spec.levels - 1))).astype(np.int32)
    if run.config.data.conditional and label is None:
        if source.spec.class_names != run.spec.class_names or "label" not in batch:
            raise ValueError(f"the model is told classes, which {folder} does not have: say them with --label.")
        return x, batch["label"]
    return x, labels_for(run, len(x), label)


def in_folder(folder: Path, spec: Spec) -> Source:
    """The images of a folder, cut to the size of the model's."""
    if not folder.is_dir():
        raise ValueError(f"expected a folder of images at {folder}, found none: correct --images.")
    return data.load(folder, image_size=spec.shape[0])
