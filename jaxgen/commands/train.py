"""jaxgen train: start a run, or go on with it."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxgen import workdir
from jaxgen.commands.model import labels_for, open_split, sampler_of
from jaxgen.configuration import plain, unknown
from jaxgen.data import Spec
from jaxgen.data.augment import Transform, random_crop, random_flip
from jaxgen.data.pipeline import batch_at, pipeline
from jaxgen.io import images, writers
from jaxgen.io.checkpoint import Checkpoints, abstract, checkpoints
from jaxgen.io.progress import progress
from jaxgen.parallel.batched import batch_of, compile_batch, distributed
from jaxgen.parallel.multihost import check_shared, is_main, of_main, stop_signal
from jaxgen.parallel.placement import Placed, place
from jaxgen.recipe import Recipe
from jaxgen.recipes import build, measure, names
from jaxgen.recipes.names import invoke
from jaxgen.train.best import Best
from jaxgen.train.loop import Hooks, Plan, check_multiples, check_resumed, fit
from jaxgen.train.state import State, averaged
from jaxgen.workdir import Run

Draw = Callable[[State], Array]


def train(config: ConfigDict, root: Path) -> str:
    """Train `config` in the work directory `root`, from its latest checkpoint if it has one; says how far it came.
    A signal to stop is kept from now on, and heeded before the first step or after any."""
    with stop_signal() as stopped:
        return trained(config, root, stopped)


def trained(config: ConfigDict, root: Path, stopped: Callable[[], bool]) -> str:
    """`train`, until it is `stopped`."""
    section = config.data
    source = open_split(section, section.split)
    run = workdir.enter(root, config, source.spec, lambda: measure(section, source, config.seed))
    run = run._replace(statistics=of_main(run.statistics))  # from here on all have seen what is in `root`
    recipe = build(config, run.spec, run.statistics)
    best = invoke(names.BEST, config.train.best, "best")
    plan = Plan(**{field: config.train[field] for field in Plan._fields})
    plan = plan if recipe.sample else plan._replace(sample_every=0)
    check_multiples(plan, config.parallel.fused)
    options = config.train.batch_size, config.seed, augmentations(section, run.spec)
    columns = ("x", "label") if section.conditional else ("x",)
    batches = pipeline(source, *options, columns)
    first = batch_at(source, *options, columns)(0)
    state, placed = place(recipe.training, config.seed, first, config.parallel)
    draw = drawing(run, recipe, placed.mesh)
    rehearse(recipe, placed, state, first, draw, best)
    target = abstract(placed.whole(state))
    if is_main():
        writable(root)(workdir.write)(run)
    check_shared(root / "config.json")
    with checkpoints(run.checkpoints, config.train.keep, config.train.keep_every, best) as saved:
        start = 0
        if saved.steps():
            del state
            start, whole, extra, damaged = saved.newest(target)
            warn(damaged)
            check_resumed(whole, plan.max_skipped, placed.fused)
            if "batches" in extra:  # a model that others trained begins a pass over the data
                batches.set_state(extra["batches"])
            state = placed.spread(whole)
            del whole
        if start >= plan.steps:
            return f"{root} is trained to step {start} already; raise --config.train.steps to go on."
        with hooks(run, saved, batches, start, draw) as on:
            reached = fit(placed, state, batches, plan, on, config.train.batch_size, stopped)
    if not reached:
        return (
            f"stopped before the first of {plan.steps} steps, with nothing to save in {root}; the same command goes on."
        )
    if reached < plan.steps:
        return f"stopped at step {reached} of {plan.steps} and saved in {root}; the same command goes on."
    return f"trained {reached} steps; the model is in {root}."


@contextmanager
def writable(root: Path) -> Iterator[None]:
    """What the file system refuses to write in `root`, as one sentence; also a decorator."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"the work directory {root} cannot be written ({error.strerror or error}): make room there, make it "
            "writable, or take another --workdir; the same command goes on from its last checkpoint."
        ) from error


def warn(sentences: Sequence[str]) -> None:
    for sentence in sentences if is_main() else ():
        print(f"jaxgen: {sentence}", file=sys.stderr)


def augmentations(section: ConfigDict, spec: Spec) -> tuple[Transform, ...]:
    """What happens to the images of a batch at random."""
    height, width, _ = spec.shape
    if section.crop and height != width:
        raise ValueError(f"data.crop needs square images, got {height}x{width}: set data.image_size.")
    crop = (random_crop(height, section.crop),) if section.crop else ()
    return (*crop, random_flip()) if section.flip else crop


def drawing(run: Run, recipe: Recipe, mesh: Mesh) -> Draw:
    """From a state to its picture: images [n, H, W, C] in levels, of which image i depends on the seed of the run and
    i, drawn by all devices. Beyond sampling.images, up to a multiple of the devices, they are copies of the last."""
    count = run.config.sampling.images
    compiled = compile_batch(lambda *asked: sampler_of(recipe)(*asked), mesh)
    rows = np.minimum(np.arange(batch_of(count, count, mesh), dtype=np.int32), count - 1)
    labels = labels_for(run, count)
    index, told = distributed(mesh, rows, lambda i: (i, None if labels is None else labels[i]))
    return lambda state: compiled(averaged(state), np.uint32(run.config.seed), index, (told,))


def rehearse(recipe: Recipe, placed: Placed, state: State, batch: Any, draw: Draw, best: Best | None) -> None:
    """Trace everything that the run will compute, so that what does not fit is refused before anything is written."""
    _, metrics = jax.eval_shape(placed.step, state, placed.put([batch] * placed.fused))
    if best is not None and best.metric not in metrics:
        raise unknown("metric of train.best", best.metric, metrics)
    if recipe.sample is not None:
        jax.eval_shape(draw, placed.whole(state))


@contextmanager
def hooks(run: Run, saved: Checkpoints, batches: Any, start: int, draw: Draw) -> Iterator[Hooks]:
    """Logs, checkpoints, pictures and a progress bar of a run that goes on from step `start`. All processes save and
    draw, each its part; process 0 writes what is no checkpoint."""
    shown: dict[str, float] = {}

    def log(step: int, metrics: dict[str, float], rate: float) -> None:
        saved.check()
        writer.scalars(step, metrics)
        board.scalars(step, {"images_per_second": rate})
        losses = {name: value for name, value in metrics.items() if name.partition("/")[0] == "loss"}
        shown.update({**losses, "images/s": rate})

    def save(step: int, state: State, means: dict[str, float]) -> None:
        writer.flush()  # no checkpoint is ahead of the metrics
        saved.save(step, state, {"config": plain(run.config), "batches": batches.get_state()}, means)

    def picture(step: int, state: State) -> None:
        drawn = np.asarray(draw(state))[: run.config.sampling.images]
        if writing:
            grid = images.grid(images.to_uint8(drawn, 0, run.spec.levels - 1))
            images.save(run.samples / f"{step:08}.png", grid)
            writer.image(step, "samples", grid)

    def opened() -> tuple[writers.Writer, writers.Writer]:
        board = writers.tensorboard(run.root / "tensorboard", start)
        return writers.combine(writers.jsonl(run.metrics, start), board), board

    writing, guarded = is_main(), writable(run.root)
    writer, board = guarded(opened)() if writing else (writers.combine(),) * 2
    try:
        with progress(run.config.train.steps, start) if writing else nullcontext() as bar:
            yield Hooks(guarded(log), guarded(save), guarded(picture), lambda step: bar and bar.update(step, **shown))
    finally:
        guarded(writer.close)()
