"""jaxgen restore: what a trained model makes of images of which only a part is known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen import data
from jaxgen.commands.model import Model, integers, labels_for, open_data, sampler_of
from jaxgen.commands.problems import Problem, degradation, masks_of
from jaxgen.conditioning import Control, dps, known, pigdm, posterior_variance, replaced
from jaxgen.configuration import call
from jaxgen.data import Source, Spec
from jaxgen.io import images
from jaxgen.io.location import check_file, location
from jaxgen.io.progress import progress
from jaxgen.operators import Operator
from jaxgen.parallel import multihost
from jaxgen.parallel.batched import batched
from jaxgen.recipes.invoke import invoke
from jaxgen.recipes.space import measure
from jaxgen.sampling.sample import Finish
from jaxgen.workdir import Run

ROWS = 8  # of a picture
Method = Callable[[Operator, Array], Control]  # (operator, y)


def by_replacement() -> Method:
    return lambda operator, y: Control(solver=replaced(operator, y))


def by_pigdm(spread: Callable[[], float], weight: float = 1.0) -> Method:
    variance = posterior_variance(spread())
    return lambda operator, y: Control(pigdm(operator, y, variance, weight=weight))


def by_dps(weight: float = 1.0) -> Method:
    return lambda operator, y: Control(solver=dps(operator, y, weight))


METHODS: dict[str, Callable[..., Method]] = {"replacement": by_replacement, "pigdm": by_pigdm, "dps": by_dps}


def restore(
    model: Model,
    problem: Problem,
    method: str,
    weight: float | None,
    folder: Path | None,
    num: int,
    seed: int,
    label: str | None,
    out: str,
) -> str:
    """The first `num` images of the test split, or of `folder`, degraded as `problem` says and restored by `method`: a
    row each in the picture `out`, as they were, as they were seen, and restored, side by side where there are more than
    8. Says how far `method` ends from what was seen, which is put into the images after that, and how far these are
    from the truth."""
    run, spec = model.run, model.run.spec
    draw = sampler_of(model.recipe)
    enter = model.recipe.enter
    if model.recipe.denoiser is None or enter is None:
        raise ValueError(f"jaxgen restore needs a diffusion model, but {run.root} has family={run.config.family}.")
    degraded, task = degradation(problem, spec), problem.task
    if not out.endswith(".png"):
        raise ValueError(f"--out must end in .png, got {out}.")
    check_file("--out", location(out))
    if task != "inpaint" and run.config.data.space.name != "linear":
        raise ValueError(
            f"--task={task} measures means of pixels, which are no means in the space {run.config.data.space.name}: "
            "take --task=inpaint, or a model with data.space=linear."
        )
    source = degradable(run, folder)
    arguments = {} if weight is None else {"weight": weight}
    control = invoke(METHODS, call(method, **arguments), "method", spread=lambda: spread(run, source, seed))
    x, labels = given(run, source, num, label)
    num = len(x)
    nowhere = np.zeros((num, *spec.shape[:2], 1), np.float32)
    known_where = masks_of(problem.mask, spec.shape, num, seed) if task == "inpaint" else nowhere

    def restored(params: Any, keys: Array, x: Array, where: Array, cond: Array | None) -> Array:
        z, operator = enter(keys, x), degraded.operator(where)
        y = operator.forward(z)
        return draw(params, keys, cond, control(operator, y)._replace(finish=without_and_with(known(operator, y))))

    def one(params: Any, key: Array, *example: Any) -> Array:
        return restored(params, key[None], *jax.tree.map(lambda leaf: leaf[None], example))[0]

    # A solver that chooses its own steps takes the images one by one, and so must what measures them.
    adaptive = model.recipe.evaluations is None
    function = jax.vmap(one, in_axes=(None, 0, 0, 0, None if labels is None else 0)) if adaptive else restored
    with progress(num, unit="image") as show:
        made = batched(function, model.mesh)(
            model.params, seed, (x, known_where, labels), num, run.config.sampling.batch_size, show.update
        )

    where = jnp.asarray(known_where)
    operator = degraded.operator(where)
    truth = np.asarray(x, np.float32)
    alone, result = np.moveaxis(integers(made, spec.levels).astype(np.float32), 1, 0)
    y = operator.forward(jnp.asarray(truth))
    seen = np.asarray(degraded.shown(y, where))
    top = spec.levels - 1
    columns = np.stack([images.to_uint8(part, 0, top) for part in (truth, seen, result)], 1)
    if multihost.is_main():
        images.save(out, images.grid(columns.reshape(-1, *spec.shape), 3 * math.ceil(num / ROWS)))
    missed = [root_mean_square(operator.forward(jnp.asarray(part)) - y) / top for part in (alone, result)]
    hidden = np.broadcast_to(1 - known_where, truth.shape) > 0
    psnr = -20 * np.log10(max(root_mean_square((result - truth)[hidden] / top), 1e-6))
    return (
        f"restored {num} images by {method}: measurement error {missed[0]:.4f} (1 is the full range), {missed[1]:.4f} "
        f"with what was seen put in; PSNR {psnr:.1f} dB where pixels were unknown; wrote {out}."
    )


def root_mean_square(x: Array | np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def without_and_with(change: Callable[[Finish], Finish]) -> Callable[[Finish], Finish]:
    """Finish with both images, [B, 2, ...]: as the sampler does, and as it does with `change`."""

    def wrap(finish: Finish) -> Finish:
        def finished(*end: Any) -> Array:
            x = finish(*end)
            return jnp.stack([x, change(lambda *end: x)(*end)], 1)

        return finished

    return wrap


def spread(run: Run, source: Source, seed: int) -> float:
    """The standard deviation of the data in model space: of the training data, or of `source` for a model that others
    trained."""
    statistics = run.statistics or measure(run.config.data, source, seed)
    return statistics.sigma_data


def degradable(run: Run, folder: Path | None) -> Source:
    """The images of `folder`, or of the test split, which must be of the size of the model's."""
    source = open_data(run, run.config.data.test_split) if folder is None else in_folder(folder, run.spec)
    if source.spec.shape != run.spec.shape:
        raise ValueError(f"the model has images {run.spec.shape}, but those to restore are {source.spec.shape}.")
    return source


def given(run: Run, source: Source, num: int, label: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The first `num` images of `source` [n, H, W, C], in the levels of the model, and the classes that it is told."""
    batch = source.records[np.arange(min(num, source.spec.size))]
    x = batch["x"]
    if source.spec.levels != run.spec.levels:
        x = np.rint(x * ((run.spec.levels - 1) / (source.spec.levels - 1))).astype(np.int32)
    if run.config.data.conditional and label is None:
        if source.spec.class_names != run.spec.class_names or "label" not in batch:
            raise ValueError("the model is told classes, which these images do not have: say them with --label.")
        return x, batch["label"]
    return x, labels_for(run, len(x), label)


def in_folder(folder: Path, spec: Spec) -> Source:
    """The images of a folder, cut to the size of the model's."""
    if not folder.is_dir():
        raise ValueError(f"expected a folder of images at {folder}, found none: correct --images.")
    return data.load(folder, image_size=spec.shape[0])
