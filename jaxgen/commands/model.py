"""A trained model out of its work directory: what sampling, evaluation and likelihood start from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen import data, workdir
from jaxgen.configuration import differences, override, unknown
from jaxgen.data import Source, Spec
from jaxgen.io.checkpoint import checkpoints
from jaxgen.io.progress import progress
from jaxgen.parallel.batched import batched
from jaxgen.parallel.mesh import make_mesh, replicated
from jaxgen.recipe import Recipe
from jaxgen.recipes import build
from jaxgen.train.state import State, join
from jaxgen.workdir import Run


class Model(NamedTuple):
    """The recipe of a run with the variables of its latest checkpoint: the moving average where there is one."""

    run: Run
    recipe: Recipe
    params: Any
    step: int


def open_run(root: Path, overrides: Sequence[str] = ()) -> Run:
    """The run in the work directory `root`; `overrides` may say how it samples, not what it is."""
    run = workdir.read(root)
    config = override(run.config.copy_and_resolve_references(), overrides)
    for key, trained, asked in differences(run.config, config)[:1]:
        raise ValueError(f"the model in {root} was trained with {key}={trained}; {key}={asked} cannot be set now.")
    return run._replace(config=config)


def open_model(root: Path, overrides: Sequence[str] = ()) -> Model:
    """The model in the work directory `root`; `overrides` may say how it samples, not what it is."""
    run = open_run(root, overrides)
    recipe = build(run.config, run.spec, run.statistics)
    with checkpoints(run.checkpoints) as saved:
        step = saved.latest()
        if step is None:
            raise ValueError(f"expected a checkpoint in {run.checkpoints}, found none: train the model first.")
        saved.extra(step)
        state: State = jax.eval_shape(recipe.training.init, jax.random.key(0), None)
        everywhere = replicated(make_mesh())
        wanted = {"params" if state.ema is None else "ema": state.ema or state.params}
        wanted |= {"extra": state.extra} if state.extra else {}
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), wanted)
        arrays = saved.restore(step, target)
    return Model(run, recipe, join(arrays.get("ema", arrays.get("params")), arrays.get("extra", {})), step)


def open_data(run: Run, split: str) -> Source:
    """A split of the data set of `run`."""
    section = run.config.data
    return data.load(section.dataset, split, section.data_dir, section.image_size)


def generate(model: Model, num: int, seed: int, labels: np.ndarray | None) -> np.ndarray:
    """`num` images in integer levels, [num, H, W, C]. Image i depends on the seed, i and its label alone,
    except with `langevin` correctors whose norm is the mean of their batch: there also on sampling.batch_size."""
    config = model.run.config.sampling
    with progress(num, unit="image") as show:
        return batched(model.recipe.sample)(model.params, seed, (labels,), num, config.batch_size, show.update)


def labels_for(run: Run, num: int, wanted: str | None = None) -> np.ndarray | None:
    """One class for each of `num` images, int32: those of the comma-separated `wanted` in turn, or all in turn; None
    for a model that is told no class."""
    if not run.config.data.conditional:
        if wanted is not None:
            raise ValueError(
                f"the model in {run.root} was trained without classes (data.conditional=False): drop --label."
            )
        return None
    chosen = (
        list(range(run.spec.num_classes or 0)) if wanted is None else [class_of(w, run.spec) for w in wanted.split(",")]
    )
    return np.resize(np.array(chosen, np.int32), num)


def class_of(text: str, spec: Spec) -> int:
    """A class by its number or name."""
    text = text.strip()
    if text in spec.class_names:
        return spec.class_names.index(text)
    if text.isdigit() and int(text) < (spec.num_classes or 0):
        return int(text)
    if text.lstrip("-").isdigit():
        raise ValueError(f"--label must be a class in 0 .. {(spec.num_classes or 0) - 1}, got {text}.")
    raise unknown("class", text, spec.class_names)
