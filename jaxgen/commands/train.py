"""jaxgen train: start a run, or go on with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxgen import workdir
from jaxgen.commands.model import labels_for, open_split, sampler_of
from jaxgen.data import Spec
from jaxgen.data.augment import Transform, random_crop, random_flip
from jaxgen.data.pipeline import batch_at, pipeline
from jaxgen.io import images, writers
from jaxgen.io.checkpoint import Checkpoints, abstract, checkpoints
from jaxgen.io.progress import progress
from jaxgen.parallel.batched import example_keys
from jaxgen.parallel.placement import Placed, place
from jaxgen.recipe import Recipe
from jaxgen.recipes import build, measure
from jaxgen.train.loop import Hooks, Plan, fit
from jaxgen.train.player import Metrics
from jaxgen.train.state import State, averaged
from jaxgen.workdir import Run


def train(config: ConfigDict, root: Path) -> str:
    """Train `config` in the work directory `root`, from its latest checkpoint if it has one; says how far it came."""
    section = config.data
    source = open_split(section, section.split)
    run = workdir.enter(root, config, source.spec, lambda: measure(section, source, config.seed))
    recipe = build(config, run.spec, run.statistics)
    options = config.train.batch_size, config.seed, augmentations(section, run.spec)
    columns = ("x", "label") if section.conditional else ("x",)
    batches = pipeline(source, *options, columns)
    first = batch_at(source, *options, columns)(0)
    state, placed = place(recipe.training, config.seed, first, **config.parallel)
    rehearse(run, recipe, placed, state, first)
    workdir.write(run)
    plan = Plan(**{field: config.train[field] for field in Plan._fields})
    if recipe.sample is None:
        plan = plan._replace(sample_every=0)

    with checkpoints(run.checkpoints, config.train.keep, config.train.keep_every) as saved:
        start = saved.latest() or 0
        if start:
            extra = saved.extra(start)
            if "batches" in extra:  # a model that others trained begins a pass over the data
                batches.set_state(extra["batches"])
            target = abstract(placed.whole(state))
            del state
            state = placed.spread(saved.restore(start, target))
        if start >= plan.steps:
            return f"{root} is trained to step {start} already; raise --config.train.steps to go on."
        with hooks(run, recipe, saved, batches, start) as on:
            reached = fit(placed, state, batches, plan, on, config.train.batch_size)
    if reached < plan.steps:
        return f"stopped at step {reached} of {plan.steps} and saved in {root}; the same command goes on."
    return f"trained {reached} steps; the model is in {root}."


def augmentations(section: ConfigDict, spec: Spec) -> tuple[Transform, ...]:
    """What happens to the images of a batch at random."""
    height, width, _ = spec.shape
    if section.crop and height != width:
        raise ValueError(f"data.crop needs square images, got {height}x{width}: set data.image_size.")
    crop = (random_crop(height, section.crop),) if section.crop else ()
    return (*crop, random_flip()) if section.flip else crop


def rehearse(run: Run, recipe: Recipe, placed: Placed, state: State, batch: Any) -> None:
    """Trace everything that the run will compute, so that what does not fit is refused before anything is written."""
    jax.eval_shape(placed.step, state, placed.put(batch))
    count = run.config.sampling.images
    labels, keys = labels_for(run, count), example_keys(run.config.seed, jnp.arange(count))
    for draw in filter(None, (recipe.sample, recipe.trajectory)):
        jax.eval_shape(draw, averaged(placed.whole(state)), keys, labels)


@contextmanager
def hooks(run: Run, recipe: Recipe, saved: Checkpoints, batches: Any, start: int) -> Iterator[Hooks]:
    """Logs, checkpoints, pictures and a progress bar of a run that goes on from step `start`."""
    count = run.config.sampling.images
    labels = labels_for(run, count)
    shown: dict[str, float] = {}

    @jax.jit
    def draw(state: State) -> jax.Array:
        return sampler_of(recipe)(averaged(state), example_keys(run.config.seed, jnp.arange(count)), labels)

    def log(step: int, metrics: Metrics, rate: float) -> None:
        values = writers.to_floats(metrics)
        writer.scalars(step, values)
        board.scalars(step, {"images_per_second": rate})
        shown.update({"loss": values["loss"], "images/s": rate})

    def save(step: int, state: State) -> None:
        saved.save(step, state, {"batches": batches.get_state()})

    def picture(step: int, state: State) -> None:
        grid = images.grid(images.to_uint8(draw(state), 0, run.spec.levels - 1))
        images.save(run.samples / f"{step:08}.png", grid)
        writer.image(step, "samples", grid)

    board = writers.tensorboard(run.root / "tensorboard", start)
    writer = writers.combine(writers.jsonl(run.metrics, start), board)
    try:
        with progress(run.config.train.steps, start) as bar:
            yield Hooks(log, save, picture, lambda step: bar.update(step, **shown))
    finally:
        writer.close()
