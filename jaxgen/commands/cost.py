"""What a training step would cost on devices that need not be here: the text of `jaxgen info --mesh --device`."""

import re
import time
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgen.parallel.collectives import summed
from jaxgen.parallel.mesh import AXES, make_mesh
from jaxgen.parallel.placement import check_batch
from jaxgen.parallel.roofline import Cost, Device, Prediction, device_of, peak, predict, sent
from jaxgen.parallel.simulated import Compiled, host_devices, simulate, useful_flops
from jaxgen.recipe import Recipe
from jaxgen.recipes import Statistics, build
from jaxgen.workdir import Run


class Target(NamedTuple):
    """Devices to predict for: a mesh {axis: size}, or None for that of the configuration, of `device`s."""

    mesh: dict[str, int] | None
    device: Device


def target(mesh: str | None, device: str | None) -> Target | None:
    """What the flags --mesh=data:32,fsdp:8 and --device=v5e say: None without either, v5e without the second. Raises
    ValueError."""
    if mesh is None:
        return None if device is None else Target(None, device_of(device))
    axes = [re.fullmatch(rf"({'|'.join(AXES)}):([1-9]\d*)", part.strip()) for part in mesh.split(",")]
    sizes = {axis[1]: int(axis[2]) for axis in axes if axis}
    if len(sizes) != len(axes):
        raise ValueError(f"--mesh must give sizes to data and fsdp, such as data:32,fsdp:8, got {mesh!r}.")
    return Target(sizes, device_of(device or "v5e"))


def shape_of(place: Target, config: ConfigDict) -> tuple[int, int]:
    """(data, fsdp) of the mesh: an axis that neither the flag nor the configuration gives a size is one device."""
    parallel = config.parallel
    sizes = {axis: parallel[axis] for axis in AXES if parallel[axis] > 0} if place.mesh is None else place.mesh
    data, fsdp = (sizes.get(axis, 1) for axis in AXES)
    if parallel.mapping == "pmap" and (fsdp > 1 or parallel.rules):
        raise ValueError(
            f"parallel.mapping=pmap holds the whole state on each device, but the mesh has fsdp:{fsdp} and "
            f"parallel.rules are {tuple(parallel.rules)}: use parallel.mapping=jit."
        )
    return data, fsdp


def cost(run: Run, place: Target) -> dict[str, str]:
    """{name: line}, from the program that XLA's CPU compiler makes of the step for as many simulated devices, and the
    peaks of the device. Raises ValueError."""
    (data, fsdp), device = shape_of(place, run.config), place.device
    count, parallel, batch = data * fsdp, run.config.parallel, abstract_batch(run)
    size = run.config.train.batch_size
    check_batch(size, count, parallel.accumulate)
    mesh = make_mesh(data, fsdp, host_devices(count))
    begun = time.perf_counter()
    step = simulate(recipe_of(run).training, mesh, batch, parallel.rules)
    seconds = time.perf_counter() - begun
    useful = useful_flops(recipe_of(run, remat=False).training, batch)
    half = parallel.dtype == "bfloat16"
    state_traffic = 2 * step.state  # read and written in float32 by any program
    moved = state_traffic + (step.moved - state_traffic) / 2 if half else step.moved
    asked = Cost(step.flops, moved, sent(step.messages, device.island))
    times = predict(asked, useful, device, count, parallel.dtype)
    return {
        "mesh": f"data {data} x fsdp {fsdp}: {count} {device.name}, {size // count} of {size} images each"
        + f" in {parallel.accumulate} parts" * (parallel.accumulate > 1)
        + f", {parallel.dtype}"
        + ", rematerialized" * parallel.remat
        + ", by pmap" * (parallel.mapping == "pmap")
        + "; --mesh=data:N,fsdp:M for more" * (place.mesh is None and count == 1),
        "memory": memory(step, device),
        "compute": f"{scaled(useful, 'FLOPs')} a step; a device {scaled(step.flops, 'FLOPs')}, "
        f"{milliseconds(times.compute)} at {scaled(peak(device, parallel.dtype), 'FLOP/s')}"
        + ("" if half else f" (float32 products of the default precision: {device.passes})"),
        "bandwidth": f"{scaled(moved, 'B')} a device, {milliseconds(times.memory)} at "
        f"{scaled(device.bandwidth, 'B/s')}",
        "links": links(step, asked, times, device),
        "predicted": predicted(times, size),
        "counted": f"in {seconds:.0f} s by XLA's CPU compiler for {count} simulated device{'s' * (count > 1)}: FLOPs "
        "are those of any; bytes of memory and links are rather too many, as an accelerator's compiler fuses more"
        + "; it computes bfloat16 in float32, so bytes moved beside the state are halved, and memory is not" * half
        + "; collectives of an accumulated gradient count once, as a TPU's compiler has them"
        * (parallel.accumulate > 1 and count > 1),
        "peaks": device.source,
    }


def memory(step: Compiled, device: Device) -> str:
    total = step.state + step.beside
    return (
        f"{scaled(total, 'B')} a device of {scaled(device.memory, 'B')}: "
        f"{'fits' if total <= device.memory else 'DOES NOT FIT'}; state {scaled(step.state, 'B')}, at most "
        f"{scaled(step.beside, 'B')} beside it"
    )


def links(step: Compiled, asked: Cost, times: Prediction, device: Device) -> str:
    found = [f"{of.count} {kind} ({scaled(of.bytes, 'B')})" for kind, of in summed(step.messages).items()]
    if not found:
        return "nothing"
    ways = (
        (asked.sent.inside, device.link, f"within {device.island} devices"),
        (asked.sent.across, device.network, "between such"),
    )
    sends = [f"{scaled(size, 'B')} at {scaled(rate, 'B/s')} {where}" for size, rate, where in ways if size]
    return f"{', '.join(found)}; a device sends {' and '.join(sends)}, {milliseconds(times.links)}"


def predicted(times: Prediction, size: int) -> str:
    """The step as a range: what its FLOPs take at the peak, up to what all takes as counted."""
    if times.bound == "compute":
        return (
            f"{milliseconds(times.step)} a step at the peak, bound by compute: {figure(size / times.step)} images/s, "
            f"MFU {100 * times.mfu:.3g} %; real steps take longer"
        )
    return (
        f"{milliseconds(times.compute)} a step, if only compute took time, to {milliseconds(times.step)}, if "
        f"{times.bound} took all that is counted: {figure(size / times.step)} to {figure(size / times.compute)} "
        f"images/s, MFU {100 * times.mfu:.3g} to {100 * times.mfu_of_compute:.3g} %"
    )


def recipe_of(run: Run, **parallel: object) -> Recipe:
    """The recipe whose step is one program over all devices, with other values of `parallel`. Statistics of data that
    have not been measured are others, which cost the same."""
    config = run.config.copy_and_resolve_references()
    config.parallel.update({"mapping": "jit", **parallel})
    return build(config, run.spec, run.statistics or Statistics(np.zeros(run.spec.shape, np.float32), 1.0))


def abstract_batch(run: Run) -> dict[str, jax.ShapeDtypeStruct]:
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
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def figure(value: float) -> str:
    """Three digits at least: 12345.6 -> "12,346", 1.2345 -> "1.23"."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
