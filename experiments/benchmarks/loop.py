"""What stands beside the training step: nothing should.

    python experiments/benchmarks/loop.py [--only=loop,pipeline,checkpoint,first,mfu] [--rounds=3]     (or `make bench`)

loop        steps/s of the whole `train` command with all its logs, checkpoints and pictures, and of its part between
            them, against its own bare compiled step before and after
pipeline    images/s that the input pipeline gives, from memory, records and PNG files, against what a step eats
checkpoint  how long a save holds up the loop, how much longer the steps around it take, and when it is whole
first       seconds from the start of the command to its first metrics, with an empty and a filled compilation cache
mfu         on a GPU: useful FLOPs over its bfloat16 peak, by batch size, of DDPM++ on CIFAR-10; where the time goes

A small and a larger model; a figure is the median over rounds, a ratio that of the ratios of the rounds. The tables are
those of README.md here.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxgen import data
from jaxgen.commands.train import train
from jaxgen.configuration import load
from jaxgen.data.pipeline import batch_at, pipeline
from jaxgen.data.records import Records, Source
from jaxgen.io import images
from jaxgen.io.checkpoint import checkpoints
from jaxgen.parallel.placement import place
from jaxgen.parallel.roofline import DEVICES
from jaxgen.parallel.simulated import useful_flops
from jaxgen.recipes import Statistics, build, measure
from jaxgen.train.loop import Placed
from jaxgen.train.state import State

BARE = {"configs/edm/digits_mlp.py": 250, "configs/edm/digits_unet.py": 40}  # steps of a measurement of the step alone
LARGE = "configs/edm/digits_unet.py"  # whose whole run is long enough to be taken once in three rounds
CIFAR10 = "configs/vp/cifar10_ddpmpp_continuous.py"
QUIET = "train.checkpoint_every=0", "train.sample_every=0", "sampling.images=1"


class Step(NamedTuple):
    """The compiled step of a configuration, and a placed batch that never changes."""

    config: ConfigDict
    placed: Placed
    batches: Any
    state: list[State]  # of one, which each step consumes and replaces

    def rate(self, steps: int) -> float:
        """Steps/s of `steps` steps."""
        start = time.perf_counter()
        for _ in range(steps):
            self.state[0], metrics = self.placed.step(self.state[0], self.batches)
        jax.block_until_ready(metrics)
        return steps * self.placed.fused / (time.perf_counter() - start)


@cache
def compiled(path: str, *overrides: str) -> Step:
    """The step of the configuration on its data, compiled and run once."""
    config = load(path, overrides)
    source = data.load(config.data.dataset, config.data.split)
    recipe = build(config, source.spec, measure(config.data, source, config.seed))
    batch = batch_at(source, config.train.batch_size, config.seed, (), ("x",))(0)
    state, placed = place(recipe.training, config.seed, batch, config.parallel)
    step = Step(config, placed, placed.put([batch] * placed.fused), [state])
    step.rate(1)
    return step


def loop_against_step(rounds: int) -> None:
    head("a save and a picture every", "whole run", "quiet part", "bare step", "whole / bare", "quiet / bare")
    for path, steps in BARE.items():
        step = compiled(path)
        config = step.config.copy_and_resolve_references()
        every = config.train.checkpoint_every
        config.train.sample_every, config.train.steps = every, 2 * every
        rates = []
        for _ in range(max(rounds // 3, 1) if path == LARGE else rounds):
            before = step.rate(steps)
            with tempfile.TemporaryDirectory() as folder:
                train(config, Path(folder) / "run")
                end = time.time()
                halfway = (Path(folder) / "run" / "samples" / f"{every:08}.png").stat().st_mtime
                quiet = logged_rate(Path(folder) / "run") / config.train.batch_size
            rates.append((every / (end - halfway), quiet, 2 / (1 / before + 1 / step.rate(steps))))
        figures = [f"{statistics.median(column):.1f}" for column in zip(*rates, strict=True)]
        ratios = [f"{statistics.median(rate[i] / rate[2] for rate in rates):.3f}" for i in (0, 1)]
        row(f"`{name_of(path)}`, {every} steps", *figures, *ratios)
    print(
        "\nSteps/s. The whole run counts from its first picture, when all is compiled, to the end of the command, with "
        "a picture, a log every 50 steps and a checkpoint that is whole; the quiet part is the median between two logs."
    )


def head(*columns: str) -> None:
    """The head of a table of README.md."""
    print()
    row(*columns)
    row(*["---"] * len(columns))


def row(*columns: str) -> None:
    print(f"| {' | '.join(columns)} |", flush=True)


def name_of(path: str) -> str:
    """configs/edm/digits_mlp.py -> edm/digits_mlp"""
    return path.removeprefix("configs/").removesuffix(".py")


def logged_rate(run: Path) -> float:
    """Median images/s that a run logged to TensorBoard."""
    from tensorboardX.proto.event_pb2 import Event

    values = []
    for file in (run / "tensorboard").iterdir():
        content, at = file.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            values += [v.simple_value for v in event.summary.value if v.tag == "images_per_second"]
            at += length + 16
    return statistics.median(values)


def pipeline_against_step(rounds: int) -> None:
    head("input pipeline against what a step eats", "images/s")
    for path, steps in BARE.items():
        step = compiled(path)
        eaten = statistics.median(step.rate(steps // 2) for _ in range(rounds)) * step.config.train.batch_size
        row(f"eaten by `{name_of(path)}`", f"{eaten:,.0f}")
    with tempfile.TemporaryDirectory() as folder:
        emoji = data.load("emoji32")
        for index, image in enumerate(batch_at(emoji, min(2000, emoji.spec.size), 0, (), ("x",))(0)["x"]):
            images.save(Path(folder) / f"{index:05}.png", image)
        sources = {
            "memory": data.load("digits"),
            "records": read_anew(emoji),
            "PNG files": read_anew(data.load(folder)),
        }
        for name, source in sources.items():
            batches = pipeline(source, 128, 0, (), ("x",))
            next(batches)
            rate = statistics.median(delivered(batches, 40) for _ in range(rounds))
            row(f"given from {name}, {'x'.join(map(str, source.spec.shape))}", f"{rate:,.0f}")


def read_anew(source: Source) -> Source:
    """The same images, read for every batch, as those that do not fit in memory are."""
    return source._replace(records=Records(source.records.read, source.records.size, in_memory=False))


def delivered(batches: Iterator[Any], count: int) -> float:
    """Images/s of `count` batches."""
    start = time.perf_counter()
    size = sum(len(next(batches)["x"]) for _ in range(count))
    return size / (time.perf_counter() - start)


def checkpoint_stall(rounds: int) -> None:
    head(
        "a save while steps run",
        "state, MB",
        "holds up the loop, ms",
        "of a step",
        "steps around it, ms more",
        "whole, ms",
    )
    for path, steps in BARE.items():
        step = compiled(path)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(step.placed.whole(step.state[0])))
        stalls, longer, wholes = [], [], []
        with tempfile.TemporaryDirectory() as folder, checkpoints(Path(folder), 2) as saved:
            for number in range(rounds + 1):  # the first makes folders and threads
                alone = steps / step.rate(steps)
                first = steps // 2 / step.rate(steps // 2)
                state = step.placed.whole(step.state[0])
                start = time.perf_counter()
                saved.save(number, state, {})
                stalls.append(time.perf_counter() - start)
                step.rate(steps - steps // 2)
                longer.append(first + time.perf_counter() - start - alone)
                saved.wait()
                wholes.append(time.perf_counter() - start)
        stall, more, whole = (statistics.median(values[1:]) for values in (stalls, longer, wholes))
        times = f"{1000 * stall:.0f}", f"{stall * steps / alone:.2f}", f"{1000 * more:.0f}", f"{1000 * whole:.0f}"
        row(f"`{name_of(path)}`", f"{size / 1e6:.1f}", *times)


def first_step() -> None:
    head("from the command to its first metrics, s", "empty compilation cache", "filled")
    for path in BARE:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
            environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
            times = [until_metrics(path, Path(folder) / name, environment) for name in ("cold", "warm")]
        row(f"`{name_of(path)}`", *(f"{seconds:.1f}" for seconds in times))


def until_metrics(path: str, run: Path, environment: dict[str, str]) -> float:
    """Seconds from the start of `jaxgen train` to the first line of its metrics."""
    settings = [f"--config.{text}" for text in (*QUIET, "train.steps=2", "train.log_every=1")]
    command = [sys.executable, "-m", "jaxgen", "train", f"--config={path}", f"--workdir={run}", *settings]
    start, metrics, taken = time.perf_counter(), run / "metrics.jsonl", None
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if taken is None and metrics.exists() and metrics.stat().st_size:
            taken = time.perf_counter() - start
        time.sleep(0.01)
    if process.returncode or taken is None:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
    return taken


def utilization(sizes: tuple[int, ...] = (128, 256, 512, 1024, 2048), steps: int = 20) -> None:
    """useful FLOPs a step / (seconds a step x peak), with images that are noise: no data are read."""
    kind = jax.devices()[0].device_kind
    device = next((device for name, device in DEVICES.items() if name in kind.lower()), None)
    if jax.default_backend() != "gpu" or device is None:
        print(f"\nmfu: skipped, the peak of {kind} is not known here")
        return
    head("DDPM++ on CIFAR-10, bfloat16: images a device", "images/s", "MFU, %")
    best: tuple[float, Step] | None = None
    for size in sizes:
        config = load(CIFAR10, ["parallel.dtype=bfloat16", f"train.batch_size={size * jax.device_count()}"])
        spec = data.describe(config.data.dataset)
        training = build(config, spec, Statistics(np.zeros(spec.shape, np.float32), 0.5)).training
        noise = np.random.default_rng(0).integers(0, spec.levels, (config.train.batch_size, *spec.shape), np.uint8)
        useful = useful_flops(training, {"x": jax.ShapeDtypeStruct(noise.shape, noise.dtype)})
        try:
            state, placed = place(training, config.seed, {"x": noise}, config.parallel)
            step = Step(config, placed, placed.put([{"x": noise}] * placed.fused), [state])
            step.rate(3)
            rate = statistics.median(step.rate(steps) for _ in range(3))
        except jax.errors.JaxRuntimeError as error:
            row(str(size), " ".join(str(error).split())[:80], "")
            break
        mfu = useful * rate / (jax.device_count() * device.bfloat16)
        row(str(size), f"{rate * config.train.batch_size:,.0f}", f"{100 * mfu:.1f}")
        best = max((best or (0.0, step)), (mfu, step), key=lambda pair: pair[0])
    if best is not None:
        print(f"\nWhere the time of a batch of {best[1].config.train.batch_size} goes:")
        profile(best[1])


def profile(step: Step, steps: int = 5, lines: int = 15) -> None:
    """How long the first device is busy of a step, and the kernels of a few steps by their share of that time."""
    seconds = 1 / step.rate(steps)
    spent: Counter[str] = Counter()
    intervals: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            step.rate(steps)
        for file in Path(folder).rglob("*.xplane.pb"):
            for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
                if plane.name.startswith("/device:") and plane.name.endswith(":0"):
                    for line in plane.lines:
                        if line.name.startswith("Stream"):
                            for event in line.events:
                                spent[event.name] += event.duration_ns
                                intervals.append((event.start_ns, event.start_ns + event.duration_ns))
    busy = covered(intervals) / 1e9 / steps / step.placed.fused
    print(f"\nbusy {1e3 * busy:.2f} ms of a step of {1e3 * seconds:.2f} ms: idle {100 * (1 - busy / seconds):.1f} %")
    head("kernel", "of the busy time, %", "ms a step")
    total = sum(spent.values())
    for name, duration in spent.most_common(lines):
        each = duration / steps / step.placed.fused / 1e6
        row(f"`{name[:80]}`", f"{100 * duration / total:.1f}", f"{each:.3f}")


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals, of which streams have several at a time."""
    length, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        length += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return length


def main() -> None:
    parts: dict[str, Callable[[int], None]] = {
        "loop": loop_against_step,
        "pipeline": pipeline_against_step,
        "checkpoint": checkpoint_stall,
        "first": lambda rounds: first_step(),
        "mfu": lambda rounds: utilization(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(parts))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    unknown = [name for name in options.only.split(",") if name not in parts]
    if unknown:
        parser.error(f"unknown --only={','.join(unknown)}: name some of {','.join(parts)}.")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}.")
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind} x {jax.device_count()}")
    for name in options.only.split(","):
        parts[name](options.rounds)


if __name__ == "__main__":
    main()
