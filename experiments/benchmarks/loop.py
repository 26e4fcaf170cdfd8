"""What stands beside the training step: nothing should.

    python experiments/benchmarks/loop.py [--only=loop,pipeline,checkpoint,first,mfu] [--rounds=5]     (or `make bench`)

loop        steps/s of the whole `train` command, less its start, against its own bare compiled step, round by round
pipeline    images/s that the input pipeline gives, from memory, records and PNG files, against what a step eats
checkpoint  how long the loop stands still for a save, and how long the save then takes in the background
first       seconds from the start of the command to its first metrics, with an empty and a filled compilation cache
mfu         on a GPU: useful FLOPs over its bfloat16 peak, by batch size, of DDPM++ on CIFAR-10; where the time goes

A small and a larger model; every figure is a median, every ratio the median of the ratios of interleaved rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
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

MODELS = {"configs/edm/digits_mlp.py": 600, "configs/edm/digits_unet.py": 60}  # steps a round
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


def compiled(path: str, *overrides: str) -> Step:
    """The step of the configuration on its data, compiled and run once."""
    config = load(path, [*QUIET, *overrides])
    source = data.load(config.data.dataset, config.data.split)
    recipe = build(config, source.spec, measure(config.data, source, config.seed))
    batch = batch_at(source, config.train.batch_size, config.seed, (), ("x",))(0)
    state, placed = place(recipe.training, config.seed, batch, config.parallel)
    step = Step(config, placed, placed.put([batch] * placed.fused), [state])
    step.rate(1)
    return step


def loop_against_step(rounds: int) -> None:
    for path, steps in MODELS.items():
        step = compiled(path, f"train.steps={steps}", f"train.log_every={steps // 12}")

        def loop(config: ConfigDict = step.config) -> float:
            with tempfile.TemporaryDirectory() as folder:
                train(config, Path(folder) / "run")
                return logged_rate(Path(folder) / "run") / config.train.batch_size

        loop()
        rates = [(loop(), step.rate(steps)) for _ in range(rounds)]
        whole, alone = (statistics.median(column) for column in zip(*rates, strict=True))
        ratio = statistics.median(a / b for a, b in rates)
        print(f"{path}: training loop {whole:.1f} steps/s, bare compiled step {alone:.1f} steps/s: {ratio:.3f}")


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
    for path, steps in MODELS.items():
        step = compiled(path)
        eaten = statistics.median(step.rate(steps // 4) for _ in range(rounds)) * step.config.train.batch_size
        print(f"{path}: a step eats {eaten:,.0f} images/s")
    with tempfile.TemporaryDirectory() as folder:
        emoji = data.load("emoji32")
        for index, image in enumerate(batch_at(emoji, min(2000, emoji.spec.size), 0, (), ("x",))(0)["x"]):
            images.save(Path(folder) / f"{index:05}.png", image)
        sources = {
            "digits, in memory": data.load("digits"),
            "emoji32, records": read_anew(emoji),
            "PNG files": read_anew(data.load(folder)),
        }
        for name, source in sources.items():
            batches = pipeline(source, 128, 0, (), ("x",))
            next(batches)
            rate = statistics.median(delivered(batches, 40) for _ in range(rounds))
            print(f"pipeline, {name}, {'x'.join(map(str, source.spec.shape))}: {rate:,.0f} images/s")


def read_anew(source: Source) -> Source:
    """The same images, read for every batch, as those that do not fit in memory are."""
    return source._replace(records=Records(source.records.read, source.records.size, in_memory=False))


def delivered(batches: Iterator[Any], count: int) -> float:
    """Images/s of `count` batches."""
    start = time.perf_counter()
    size = sum(len(next(batches)["x"]) for _ in range(count))
    return size / (time.perf_counter() - start)


def checkpoint_stall(rounds: int) -> None:
    for path in MODELS:
        step = compiled(path)
        state = step.placed.whole(step.state[0])
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        stalls, wholes = [], []
        with tempfile.TemporaryDirectory() as folder, checkpoints(Path(folder), 2) as saved:
            for number in range(rounds + 1):
                start = time.perf_counter()
                saved.save(number, state, {})
                stalls.append(time.perf_counter() - start)
                saved.wait()
                wholes.append(time.perf_counter() - start)
        stall, whole = (1000 * statistics.median(values[1:]) for values in (stalls, wholes))
        print(
            f"{path}: {size / 1e6:.1f} MB, a save stops the loop for {stall:.0f} ms and is whole after {whole:.0f} ms"
        )


def first_step() -> None:
    for path in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
            environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
            times = [until_metrics(path, Path(folder) / name, environment) for name in ("cold", "warm")]
        cold, warm = times
        print(
            f"{path}: first metrics after {cold:.1f} s with an empty compilation cache, {warm:.1f} s with a filled one"
        )


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
        print(f"mfu: skipped, the peak of {kind} is not known here")
        return
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
            print(f"mfu, batch {size} a device: {' '.join(str(error).split())[:80]}")
            break
        mfu = useful * rate / (jax.device_count() * device.bfloat16)
        print(f"mfu, batch {size} a device: {rate * config.train.batch_size:,.0f} images/s, MFU {100 * mfu:.1f} %")
        best = max((best or (0.0, step)), (mfu, step), key=lambda pair: pair[0])
    if best is not None:
        print(f"where the time of batch {best[1].config.train.batch_size} goes:")
        profile(best[1])


def profile(step: Step, steps: int = 5, lines: int = 15) -> None:
    """The kernels of a few steps by the share of the device's time that they take."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            step.rate(steps)
        spent: Counter[str] = Counter()
        for file in Path(folder).rglob("*.xplane.pb"):
            for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
                if plane.name.startswith("/device:"):
                    for line in plane.lines:
                        if line.name.startswith("Stream"):
                            for event in line.events:
                                spent[event.name] += event.duration_ns
    total = sum(spent.values())
    for name, duration in spent.most_common(lines):
        print(f"  {100 * duration / total:5.1f} %  {duration / steps / 1e6:8.3f} ms a step  {name[:80]}")


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
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind} x {jax.device_count()}")
    for name in options.only.split(","):
        parts[name](options.rounds)


if __name__ == "__main__":
    main()
