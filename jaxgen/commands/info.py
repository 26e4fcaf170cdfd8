"""jaxgen info: what a configuration or a run means, what it costs, and what it would cost on devices elsewhere."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxgen import data
from jaxgen.commands.cost import Target, abstract_batch, cost, recipe_of, shape_of
from jaxgen.commands.model import open_run, open_split
from jaxgen.configuration import written
from jaxgen.io.checkpoint import checkpoints
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import leaf_sharding
from jaxgen.parallel.simulated import host_devices
from jaxgen.recipe import structure
from jaxgen.recipes import measure
from jaxgen.train.state import State
from jaxgen.workdir import Run


def info_of_config(config: ConfigDict, place: Target | None = None) -> str:
    """`info` of a run that has not begun: its data are opened and measured, unless its cost is predicted
    at `place`, as the data may be elsewhere too."""
    section = config.data
    if place is not None:
        where = section.dataset, section.split, section.data_dir, section.image_size, section.center_crop
        return info(Run(Path("."), config, data.describe(*where), None), place)
    source = open_split(section, section.split)
    return info(Run(Path("."), config, source.spec, measure(section, source, config.seed)))


def info_of_workdir(root: Path, overrides: Sequence[str] = (), place: Target | None = None) -> str:
    """`info` of the run in `root`, with its latest checkpoint."""
    run = open_run(root, overrides)
    latest = None
    if run.checkpoints.is_dir():
        with checkpoints(run.checkpoints) as saved:
            latest = max(saved.steps(), default=None)
    return info(run, place) + f"\ncheckpoint      {'none' if latest is None else f'step {latest}'}"


def info(run: Run, place: Target | None = None) -> str:
    """Data, process, network and parameters, a line each; then sharding and the FLOPs of a step on the devices here, or
    what it would cost at `place`."""
    if place is not None:
        host_devices(math.prod(shape_of(place, run.config)))  # before anything else asks JAX for its devices
    config, spec = run.config, run.spec
    recipe = recipe_of(run)
    state = structure(recipe)
    leaves = jax.tree.leaves(state.params)
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(tree)) for name, tree in state.params.items()}
    lines = {
        "data": f"{config.data.dataset} {config.data.split}: "
        + (f"{spec.size:,} " if spec.size else "")
        + f"images {'x'.join(map(str, spec.shape))}, {spec.levels} levels, {spec.num_classes or 'no'} classes",
        "model space": config.data.space.name
        + ("" if run.statistics is None else f", sigma_data {run.statistics.sigma_data:.4f}")
        + ", mean of every pixel removed" * config.data.center
        + ", dequantized" * config.data.dequantize,
        **recipe.about,
        "parameters": ", ".join(f"{name} {sizes[name]:,}" for name in sizes),
        "average": written(config.ema),
    }
    if place is not None:
        lines |= cost(run, place)
    else:
        lines["devices"] = devices(config, leaves)
        lines["step"] = f"{config.train.batch_size} images, {flops(recipe.training.step, state, abstract_batch(run))}"
    return "\n".join(f"{name:<16}{text}" for name, text in lines.items())


def devices(config: ConfigDict, leaves: list[Any]) -> str:
    """How the parameters lie on the devices."""
    count = jax.device_count()
    if config.parallel.mapping == "pmap":
        return f"{count} by pmap, parameters replicated"
    mesh = make_mesh(config.parallel.data, config.parallel.fsdp)
    sharded = sum(leaf.size for leaf in leaves if not leaf_sharding(mesh, leaf).is_fully_replicated)
    share = sharded / sum(leaf.size for leaf in leaves)
    shape = f"data {mesh.shape['data']} x fsdp {mesh.shape['fsdp']}"
    return f"{count} {jax.default_backend()}, {shape}, {share:.0%} of parameters sharded"


def flops(step: Any, state: State, batch: Any) -> str:
    """The compiler's count for one step on one device."""
    cost = jax.jit(step).lower(state, batch, jax.random.key(0)).compile().cost_analysis()
    count = (cost or {}).get("flops", 0)
    return f"{count:.3g} FLOPs by the compiler's count" if count else "FLOPs not counted by this backend"
