"""A run that is killed at random moments, again and again, is the run that never was.

    python experiments/chaos.py --config=configs/digits.py --workdir=/tmp/chaos [--kills=25] [--seed=0]

trains twice: once in peace, and once killed `kills` times, mostly by SIGKILL and now and then by SIGTERM, and started
again by the same command. A third of the kills fall into the start of the process and its compilation, a third between
or in steps, and a third into the writing of a checkpoint. In the end both runs must have the same state, bit for bit,
and the same metrics.jsonl, byte for byte. --config.SECTION.KEY=VALUE as on the command line.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxgen import workdir
from jaxgen.configuration import load
from jaxgen.io.checkpoint import abstract, checkpoints
from jaxgen.io.writers import read_jsonl
from jaxgen.recipes import build

PATIENCE = 600  # seconds after which a run that does not get on has failed
STRIDE = 25  # steps of the run for each kill, more than a life takes to be killed
MOMENTS = "start", "step", "save"
FREQUENT = "train.log_every=1", "train.checkpoint_every=3", "train.sample_every=0"


class Kill(NamedTuple):
    """Where a life ended: the signal, the moment that was meant, the last step that was logged and the last that was
    saved, whether a checkpoint was left unfinished, and how many seconds the process lived."""

    signal: str
    moment: str
    logged: int
    saved: int
    unfinished: bool
    seconds: float

    def __str__(self) -> str:
        left = ", a checkpoint half written" if self.unfinished else ""
        where = f"logged {self.logged}, saved {self.saved}{left}"
        return f"{self.signal} at {self.moment:5} after {self.seconds:5.1f} s: {where}"


def chaos(config: str, folder: Path, kills: int, seed: int, overrides: Sequence[str] = ()) -> list[Kill]:
    """Both runs, in `folder`. Raises AssertionError where they differ, or a life does not end as it should."""
    draw = random.Random(seed)
    calm, killed = folder / "calm", folder / "killed"
    values = *FREQUENT, f"train.steps={STRIDE * (kills + 1)}", *overrides
    load(config, values)
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "xla"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def start(root: Path) -> subprocess.Popen[str]:
        flags = [f"--config={config}", f"--workdir={root}", *(f"--config.{value}" for value in values)]
        command = [sys.executable, "-m", "jaxgen", "train", *flags]
        return subprocess.Popen(
            command, env={**cache, **os.environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def finish(root: Path) -> float:
        began, process = time.monotonic(), start(root)
        wait(process, lambda: last_logged(root) > 0)
        ready = time.monotonic() - began
        _, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, error
        return ready

    starting = finish(calm)
    print(f"not killed: {last_logged(calm)} steps, the first after {starting:.1f} s", flush=True)
    fallen: list[Kill] = []
    coming: list[str] = []
    for number in range(1, kills + 1):
        coming = coming or draw.sample(MOMENTS, len(MOMENTS))
        moment, by = coming.pop(), draw.choices((signal.SIGKILL, signal.SIGTERM), (4, 1))[0]
        pause, stride, jitter = draw.uniform(0, starting), draw.randrange(1, 10), draw.uniform(0, 0.02)
        before, began = last_logged(killed), time.monotonic()
        process = start(killed)
        if moment == "start":
            ends, goal = began + pause, before + 1
        else:
            ends, goal = inf, before + stride
        wait(process, partial(reached, killed, goal, ends))
        if moment != "start":
            starting = time.monotonic() - began  # the machine may be busier than it was
            if moment == "save":
                wait(process, lambda: unfinished(killed))
            time.sleep(jitter)
        process.send_signal(by)
        _, error = process.communicate(timeout=PATIENCE)
        lived = time.monotonic() - began
        fallen.append(Kill(by.name, moment, last_logged(killed), last_saved(killed), unfinished(killed), lived))
        check(fallen[-1], process.returncode, error)
        print(f"{number:3}/{kills}  {fallen[-1]}", flush=True)
    finish(killed)
    compare(calm, killed)
    return fallen


def check(kill: Kill, code: int, error: str) -> None:
    """Raises AssertionError unless the life ended as it should. SIGTERM ends a training with 0 and all its steps saved,
    and by itself only a process that is still importing."""
    imports = -signal.SIGTERM if kill.moment == "start" else 0
    expected = (-signal.SIGKILL,) if kill.signal == "SIGKILL" else (0, imports)
    assert code in expected, f"{kill.signal} at {kill.moment} ended the run with {code}: {error}"
    assert "jaxgen: " not in error, error
    if kill.signal == "SIGTERM" and kill.moment != "start":
        assert kill.saved == kill.logged and not kill.unfinished, f"steps are lost: {kill}"


def reached(root: Path, step: int, until: float) -> bool:
    return last_logged(root) >= step or time.monotonic() >= until


def wait(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Until `condition` holds. Raises AssertionError where the process ends before."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the run does not get on"
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"the run ended by itself with {process.returncode}: {process.stderr.read()}")
        time.sleep(0.002)


def last_logged(root: Path) -> int:
    """The last step whose line in metrics.jsonl is whole, or 0."""
    path = root / "metrics.jsonl"
    rows = read_jsonl(path) if path.exists() else []
    return rows[-1]["step"] if rows else 0


def last_saved(root: Path) -> int:
    return max((int(name) for name in entries(root) if name.isdigit()), default=0)


def unfinished(root: Path) -> bool:
    """Whether a checkpoint is being written, or was when the run was killed."""
    return any(name.endswith(".orbax-checkpoint-tmp") for name in entries(root))


def entries(root: Path) -> list[str]:
    folder = root / "checkpoints"
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def compare(a: Path, b: Path) -> None:
    """Raises AssertionError unless both runs have the same last state, place in the data and metrics."""
    ours, theirs = ((root / "metrics.jsonl").read_bytes() for root in (a, b))
    assert ours == theirs, "metrics.jsonl differs"
    steps = [row["step"] for row in read_jsonl(b / "metrics.jsonl")]
    assert steps == list(range(1, len(steps) + 1)), f"metrics.jsonl does not count on: {steps}"
    (step_a, place_a, state_a), (step_b, place_b, state_b) = last_state(a), last_state(b)
    assert (step_a, place_a) == (step_b, place_b), "the runs ended in different places"
    jax.tree.map(np.testing.assert_array_equal, state_a, state_b)


def last_state(root: Path) -> tuple[int, object, object]:
    """The step, the state of the data iterator, and the whole training state of the latest checkpoint."""
    run = workdir.read(root)
    state = jax.jit(build(run.config, run.spec, run.statistics).training.init)(jax.random.key(0), None)
    with checkpoints(run.checkpoints) as saved:
        step = saved.steps()[-1]
        return step, saved.extra(step)["batches"], jax.device_get(saved.restore(step, abstract(state)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.py")
    parser.add_argument("--workdir", type=Path, required=True, help="a new folder for both runs")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options, rest = parser.parse_known_args()
    prefix = "--config."
    if not all(word.startswith(prefix) for word in rest) or options.workdir.exists():
        parser.error(f"expected a new --workdir and {prefix}SECTION.KEY=VALUE, got {options.workdir} and {rest}")
    began = time.monotonic()
    fallen = chaos(options.config, options.workdir, options.kills, options.seed, [word[len(prefix) :] for word in rest])
    signals, moments = Counter(kill.signal for kill in fallen), Counter(kill.moment for kill in fallen)
    halves = sum(kill.unfinished for kill in fallen)
    steps = last_logged(options.workdir / "killed")
    print(
        f"{len(fallen)} kills in {time.monotonic() - began:.0f} s ({told(signals)}; at {told(moments)}; {halves} left "
        f"a checkpoint half written): state and metrics.jsonl of {steps} steps are those of the run that nobody killed."
    )


def told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    main()
