"""jaxgen info: what a configuration or a run means, what it costs, and what it would cost on devices elsewhere."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgen import data
from jaxgen.commands.model import open_run, open_split
from jaxgen.io.checkpoint import checkpoints
from jaxgen.parallel.mesh import AXES, make_mesh
from jaxgen.parallel.placement import check_batch
from jaxgen.parallel.roofline import Cost, Device, device_of, predict, sent
from jaxgen.parallel.sharding import leaf_sharding
from jaxgen.parallel.simulated import host_devices, simulate, useful_flops
from jaxgen.recipes import Statistics, build, measure
from jaxgen.train.state import State
from jaxgen.workdir import Run


class Elsewhere(NamedTuple):
    """A (data, fsdp) mesh of `device`s that need not be here."""

    data: int
    fsdp: int
    device: Device


def elsewhere(mesh: str | None, device: str | None) -> Elsewhere | None:
    """What the flags --mesh=data:32,fsdp:8 and --device=v5e say: None without either, one device without the first, a
    v5e without the second. Raises ValueError."""
    if mesh is None and device is None:
        return None
    text = mesh or "data:1"
    axes = [re.fullmatch(rf"({'|'.join(AXES)}):([1-9]\d*)", part.strip()) for part in text.split(",")]
    sizes = {axis[1]: int(axis[2]) for axis in axes if axis}
    if len(sizes) != len(axes):
        raise ValueError(f"--mesh must give sizes to data and fsdp, such as data:32,fsdp:8, got {text!r}.")
    return Elsewhere(sizes.get("data", 1), sizes.get("fsdp", 1), device_of(device or "v5e"))


def info_of_config(config: ConfigDict, place: Elsewhere | None = None) -> str:
    """`info` of a run that has not begun: its data are opened and measured, unless it is predicted for devices
    elsewhere, as the data may be."""
    section = config.data
    if place is not None:
        where = section.dataset, section.split, section.data_dir, section.image_size, section.center_crop
        return info(Run(Path("."), config, data.describe(*where), None), place)
    source = open_split(section, section.split)
    return info(Run(Path("."), config, source.spec, measure(section, source, config.seed)))


def info_of_workdir(root: Path, overrides: Sequence[str] = (), place: Elsewhere | None = None) -> str:
    """`info` of the run in `root`, with its latest checkpoint."""
    run = open_run(root, overrides)
    latest = None
    if run.checkpoints.is_dir():
        with checkpoints(run.checkpoints) as saved:
            latest = saved.latest()
    return info(run, place) + f"\ncheckpoint      {'none' if latest is None else f'step {latest}'}"


def info(run: Run, place: Elsewhere | None = None) -> str:
    """Data, process, network and parameters, a line each; then sharding and the FLOPs of a step on the devices here, or
    what `predicted` says of those elsewhere."""
    if place is not None:
        host_devices(place.data * place.fsdp)  # before anything else asks JAX for its devices
    config, spec = run.config, run.spec
    recipe = build(alone(config), spec, seen(run))
    state: State = jax.eval_shape(recipe.training.init, jax.random.key(0), None)
    leaves = jax.tree.leaves(state.params)
    parameters = sum(leaf.size for leaf in leaves)
    lines = {
        "data": f"{config.data.dataset} {config.data.split}: "
        + (f"{spec.size:,} " if spec.size else "")
        + f"images {'x'.join(map(str, spec.shape))}, {spec.levels} levels, {spec.num_classes or 'no'} classes",
        "model space": config.data.space.name
        + ("" if run.statistics is None else f", sigma_data {run.statistics.sigma_data:.4f}")
        + ", mean of every pixel removed" * config.data.center
        + ", dequantized" * config.data.dequantize,
        "process": written(config.sde),
        "loss": f"cross-entropy of noisy images, times {written(config.loss.times)}"
        if recipe.classifier is not None
        else f"{config.loss.objective} of {written(config.loss.prediction)}, times {written(config.loss.times)}, "
        + ("" if config.loss.objective == "bound" else f"weight {written(config.loss.weight)}"),
        "network": f"{written(config.model)}: {parameters:,} parameters",
        "optimizer": f"{written(config.optimizer)}, moving average {written(config.ema)}",
        "sampling": "none, a classifier guides other models"
        if recipe.sample is None
        else f"{written(config.sampling.solver)}, {config.sampling.steps} times, {written(config.sampling.grid)}"
        + ("" if recipe.evaluations is None else f", {recipe.evaluations} evaluations"),
    }
    if place is not None:
        lines |= predicted(run, place)
    else:
        lines["devices"] = devices(config, leaves)
        lines["step"] = f"{config.train.batch_size} images, {flops(recipe.training.step, state, batch_of(run))}"
    return "\n".join(f"{name:<16}{text}" for name, text in lines.items())


def predicted(run: Run, place: Elsewhere) -> dict[str, str]:
    """What a training step would cost on devices elsewhere, from the program that XLA's CPU compiler makes of it for as
    many simulated devices, and the peaks of the device."""
    config, device, count = alone(run.config), place.device, place.data * place.fsdp
    size, parallel = config.train.batch_size, config.parallel
    check_batch(size, count, parallel.accumulate)
    mesh = make_mesh(place.data, place.fsdp, host_devices(count))
    training, batch = build(config, run.spec, seen(run)).training, batch_of(run)
    begun = time.perf_counter()
    step = simulate(training, mesh, batch, parallel.rules)
    seconds = time.perf_counter() - begun
    if parallel.remat:
        parallel.remat = False
        training = build(config, run.spec, seen(run)).training
    useful = useful_flops(training, batch)
    half = parallel.dtype == "bfloat16"
    kept = 2 * step.state  # read and written in float32 by any program
    moved = kept + (step.moved - kept) / 2 if half else step.moved
    cost = Cost(step.flops, moved, sent(step.collectives, count))
    time_of = predict(cost, useful, device, count, parallel.dtype)
    total = step.state + step.beside
    said = ", ".join(f"{found.count} {kind} ({scaled(found.bytes, 'B')})" for kind, found in step.collectives.items())
    return {
        "mesh": f"data {place.data} x fsdp {place.fsdp}: {count} {device.name}, {size // count} of {size} images each, "
        f"{parallel.dtype}{', rematerialized' if run.config.parallel.remat else ''}",
        "memory": f"{scaled(total, 'B')} a device of {scaled(device.memory, 'B')}: "
        f"{'fits' if total <= device.memory else 'DOES NOT FIT'}; state {scaled(step.state, 'B')}, at most "
        f"{scaled(step.beside, 'B')} beside it",
        "compute": f"{scaled(useful, 'FLOPs')} a step; a device {scaled(cost.flops, 'FLOPs')}, "
        f"{milliseconds(time_of.compute)} at {scaled(device.bfloat16 if half else device.float32, 'FLOP/s')}",
        "bandwidth": f"{scaled(moved, 'B')} a device, {milliseconds(time_of.memory)} at "
        f"{scaled(device.bandwidth, 'B/s')}",
        "links": f"{said or 'nothing'}; a device sends {scaled(cost.sent, 'B')}, {milliseconds(time_of.links)} at "
        f"{scaled(device.link if count <= device.island else device.network, 'B/s')}",
        "predicted": f"{milliseconds(time_of.step)} a step or more, bound by {time_of.bound}: "
        f"{size / time_of.step:,.0f} images/s, MFU {time_of.mfu:.0%} at best",
        "counted": f"in {seconds:.0f} s by XLA's CPU compiler for {count} simulated devices, which fuses less than an "
        "accelerator's"
        + ("; it computes bfloat16 in float32, so bytes moved beside the state are halved, and memory is not" * half),
        "peaks": device.source,
    }


def alone(config: ConfigDict) -> ConfigDict:
    """The configuration of the whole step as one program."""
    config = config.copy_and_resolve_references()
    config.parallel.mapping = "jit"
    return config


def seen(run: Run) -> Statistics:
    """The statistics of the run's data; where they have not been seen, others, which cost the same."""
    return run.statistics or Statistics(np.zeros(run.spec.shape, np.float32), 1.0)


def batch_of(run: Run) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch, as shapes."""
    size, spec = run.config.train.batch_size, run.spec
    batch = {"x": jax.ShapeDtypeStruct((size, *spec.shape), np.uint8 if spec.levels <= 256 else np.int32)}
    if run.config.data.conditional:
        batch["label"] = jax.ShapeDtypeStruct((size,), np.int32)
    return batch


def scaled(value: float, unit: str) -> str:
    """1.23e10 FLOPs -> "12.3 GFLOPs"."""
    power = min(int(np.log10(max(value, 1))) // 3, 6)
    return f"{value / 1000**power:.3g} {' kMGTPE'[power].strip()}{unit}"


def milliseconds(seconds: float) -> str:
    """0.0123 -> "12.3 ms"."""
    return f"{1e3 * seconds:.3g} ms"


def written(section: ConfigDict) -> str:
    """A call as one would write it."""
    arguments = ", ".join(
        f"{key}={written(value) if isinstance(value, ConfigDict) else value}"
        for key, value in section.items()
        if key != "name"
    )
    return f"{section.name}({arguments})"


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
