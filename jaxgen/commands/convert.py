"""jaxgen convert: a work directory of a checkpoint that others have published."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxgen import data, workdir
from jaxgen.configuration import plain, unknown
from jaxgen.io.checkpoint import checkpoints
from jaxgen.io.location import exists, is_remote
from jaxgen.io.weights import score_sde
from jaxgen.io.weights.score_sde import Network, Weights
from jaxgen.recipe import Recipe, structure
from jaxgen.recipes import build
from jaxgen.train.state import State
from jaxgen.workdir import Run

SOURCES: Mapping[str, Callable[[Path, Network], Weights]] = {"score_sde": score_sde.read}


def convert(source: str, checkpoint: Path, config: ConfigDict, root: Path) -> str:
    """Put the model in `checkpoint`, as `source` publishes them, into the new work directory `root`, whole or not at
    all. The data that it was trained on need not be here."""
    if source not in SOURCES:
        raise unknown("source", source, SOURCES)
    if not checkpoint.is_file():
        raise ValueError(f"expected a checkpoint file at {checkpoint}, found none: correct --checkpoint.")
    if exists(root) and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"expected a new work directory at {root}, but there is something: take another --workdir.")
    if config.family != "diffusion":
        raise ValueError(f"{source} publishes diffusion models, got family={config.family}: choose another --config.")
    section = config.data
    spec = data.describe(section.dataset, section.split, section.data_dir, section.image_size, section.center_crop)
    recipe = build(config, spec, None)
    weights = SOURCES[source](checkpoint, network(recipe))
    state = start(recipe, weights, config)
    publish(Run(root, config, spec, None), state)
    return f"converted step {weights.step} of {checkpoint}; the model is in {root}."


def network(recipe: Recipe) -> Network:
    """The parameters that the recipe's network has, and the order in which it calls its modules."""
    calls: list[str] = []

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        path = context.module.path
        if len(path) == 1 and path[0] not in calls:
            calls.append(path[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        state = structure(recipe)
    return Network(state.params["net"]["params"], calls)


def start(recipe: Recipe, weights: Weights, config: ConfigDict) -> State:
    """The state of a training that has come to these weights; Adam begins anew where they hold no moments."""
    state = recipe.training.start({"net": {"params": weights.params}})
    if state.ema is None:
        raise ValueError("the checkpoint has a moving average, but the configuration none: set --config.ema=warm.")
    opt = state.opt
    if weights.moments is not None and config.optimizer.name == "adam":
        mean, square = ({"net": {"params": tree}} for tree in weights.moments)
        opt = optax.tree_utils.tree_set(opt, mu=mean, nu=square, count=jnp.int32(weights.step))
    return state._replace(step=jnp.int32(weights.step), ema={"net": {"params": weights.ema}}, opt=opt)


def publish(run: Run, state: State) -> None:
    """Write the run with this one state beside its place, and put it there in one rename; where there are none, in its
    place, and last what makes it a work directory."""
    if is_remote(run.root):
        save(run, state)
        workdir.write(run)
        return
    run.root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{run.root.name}.", dir=run.root.parent))
    try:
        folder = scratch / run.root.name
        unfinished = run._replace(root=folder)
        workdir.write(unfinished)
        save(unfinished, state)
        os.replace(folder, run.root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def save(run: Run, state: State) -> None:
    with checkpoints(run.checkpoints, keep=1) as saved:
        saved.save(int(state.step), jax.device_put(state), {"config": plain(run.config)})
