"""Two real processes with four simulated devices each are one machine with eight, through the command line."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from command import TINY

from jaxgen import cli, data, workdir
from jaxgen.data.pipeline import batch_at
from jaxgen.data.records import source
from jaxgen.io import writers
from jaxgen.io.checkpoint import checkpoints
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import state_sharding
from jaxgen.recipes import build

TIMEOUT = 20  # seconds of silence after which a process is lost, where one is
GLOO = re.compile(r"\[Gloo\] Rank | is connected to | peer ranks\. |Expected number of connected peer ranks is : ")
PATIENCE = 120  # and where none is, which a busy machine may not pretend
LONG = 240  # seconds that nothing here takes, however busy the machine is
ENDLESS = "--config.train.steps=1000000"
SHARDED = "--config.model.width=64", "--config.parallel.fsdp=8"  # kernels in eight parts, four on each process

# The command line, in a process that notes which examples it reads.
NOTING = """
import json, os, sys
from jaxgen.data import pipeline

select = pipeline.selection

def selection(source, keys):
    chosen = select(source, keys)

    def noting(rows):
        with open(os.environ["ROWS"], "a") as file:
            file.write(json.dumps(rows.tolist()) + "\\n")
        return chosen(rows)

    return noting

pipeline.selection = selection
from jaxgen.cli import main
sys.exit(main())
"""


# The command line, in processes of which one is slower than the other to find what is wrong.
LATE = """
import sys, time
import jax
from jaxgen.parallel import placement

check = placement.check_batch

def check_batch(*arguments):
    time.sleep(5 * (jax.process_index() == {}))
    check(*arguments)

placement.check_batch = check_batch
from jaxgen.cli import main
sys.exit(main())
"""


class Process(NamedTuple):
    popen: subprocess.Popen
    log: Path

    def ended(self) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) once it has ended."""
        code = self.popen.wait(LONG)
        out, err = (self.log.with_suffix(kind).read_text() for kind in (".out", ".err"))
        said = [line for line in GLOO.sub("", out).splitlines(True) if re.search("[A-Za-z]", line)]
        return code, "".join(said), err


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def two(folder: Path, *words: str, program: tuple[str, ...] = ("-m", "jaxgen"), timeout: int = PATIENCE):
    """Both processes of one command, which are killed in the end, come what may."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    processes = []
    try:
        for i in range(2):
            log = folder / f"process{i}"
            environment = os.environ | {
                "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4",
                "ROWS": str(log.with_suffix(".rows")),
            }
            joined = f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={i}", f"--timeout={timeout}"
            with open(log.with_suffix(".out"), "w") as out, open(log.with_suffix(".err"), "w") as err:
                command = [sys.executable, *program, *words, *joined]
                popen = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
            processes.append(Process(popen, log))
        yield processes
    finally:
        for process in processes:
            process.popen.kill()
            process.popen.wait()


def wait_for(happened: Callable[[], bool], processes: list[Process]) -> None:
    deadline = time.monotonic() + LONG
    while not happened():
        assert time.monotonic() < deadline, "too slow"
        assert all(process.popen.poll() is None for process in processes), processes[0].ended()
        time.sleep(0.02)


def steps(run: Path) -> list[int]:
    path = run / "metrics.jsonl"
    return [row["step"] for row in writers.read_jsonl(path)] if path.exists() else []


def train(run: Path, *overrides: str) -> list[str]:
    return ["train", f"--config={TINY}", f"--workdir={run}", *SHARDED, *overrides]


class Story(NamedTuple):
    """What became of a run whose process 1 was killed, and told to stop when it had been started again."""

    run: Path
    logs: Path
    seconds: float
    survivor: tuple[int, str, str]
    stopped: list[tuple[int, str, str]]
    step: int


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    folder = tmp_path_factory.mktemp("two")
    run = folder / "run"
    with two(folder / "killed", *train(run, ENDLESS), program=("-c", NOTING), timeout=TIMEOUT) as processes:
        wait_for(lambda: (run / "checkpoints" / "2").is_dir() and 3 in steps(run), processes)
        processes[1].popen.kill()
        killed = time.monotonic()
        survivor = processes[0].ended()
        seconds = time.monotonic() - killed
    with two(folder / "stopped", *train(run, ENDLESS, "--config.train.checkpoint_every=0")) as processes:
        wait_for(lambda: "%" in (folder / "stopped" / "process0.err").read_text(), processes)
        processes[1].popen.send_signal(signal.SIGTERM)
        stopped = [process.ended() for process in processes]
    reached = int(re.search(r"stopped at step (\d+)", stopped[0][1])[1]) if not stopped[0][0] else 0
    return Story(run, folder / "killed", seconds, survivor, stopped, reached)


@pytest.fixture(scope="module")
def alone(story, tmp_path_factory) -> Path:
    """The same run in one process with eight devices, never interrupted."""
    run = tmp_path_factory.mktemp("alone") / "run"
    assert cli.main(train(run, f"--config.train.steps={story.step}")) == 0
    return run


def restored(run: Path, devices: int) -> list[np.ndarray]:
    """Every array of the latest checkpoint, brought to so many devices."""
    it = workdir.read(run)
    init = build(it.config, it.spec, it.statistics).training.init
    state = jax.eval_shape(init, jax.random.key(0), None)
    shardings = state_sharding(make_mesh(1, devices, devices=jax.devices()[:devices]), state)
    target = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state, shardings
    )
    with checkpoints(it.checkpoints) as saved:
        return [np.asarray(leaf) for leaf in jax.tree.leaves(saved.restore(saved.steps()[-1], target))]


def test_a_lost_process_ends_the_other(story):
    """Breaks if a job hangs, and is billed, when one of its machines dies, or ends in a way no launcher would retry."""
    code, out, err = story.survivor
    assert code == os.EX_TEMPFAIL and not out
    assert err.splitlines()[-1].startswith("jaxgen: another process was lost")
    assert story.seconds < 3 * TIMEOUT


def test_both_read_each_example_of_a_batch_once(story):
    """Breaks if processes train on the same examples, or leave some out."""
    shares = [
        [json.loads(line) for line in (story.logs / f"process{i}.rows").read_text().splitlines()] for i in range(2)
    ]
    spec = data.load("digits").spec
    whole = batch_at(source(lambda rows: {"x": rows}, spec), 16, seed=0, shard=(0, 1))
    for k in range(3):
        rows = shares[0][1 + k] + shares[1][1 + k]  # the first one is that by which the shapes are known
        assert rows == whole(k)["x"].tolist() and len(set(rows)) == 16


def test_a_signal_to_one_stops_both_at_one_step(story):
    """Breaks if the preemption of one machine loses the steps since the last checkpoint, or saves half a state."""
    (code, out, _), (other, silent, _) = story.stopped
    assert (code, other) == (0, 0) and out.count("\n") == 1 and not silent
    with checkpoints(story.run / "checkpoints") as saved:
        assert saved.steps()[-1] == story.step


def test_the_killed_run_is_that_of_one_process(story, alone):
    """Breaks if gradients, data order, keys, statistics or what is resumed depend on how devices are shared out. Equal
    to rounding: sums over devices are taken in another order between processes than within one."""
    ours, theirs = (json.loads((run / "config.json").read_text())["statistics"] for run in (story.run, alone))
    assert ours == theirs
    ours, theirs = (writers.read_jsonl(run / "metrics.jsonl") for run in (story.run, alone))
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    assert [row["step"] for row in ours] == list(range(1, story.step + 1))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(list(mine.values()), list(other.values()), rtol=1e-5)
    for mine, other in zip(restored(story.run, 8), restored(alone, 8), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=2e-6)


def test_the_checkpoint_of_two_is_read_on_fewer_devices(story):
    """Breaks if a run can go on, or be sampled from, only on as many devices as wrote it."""
    whole = restored(story.run, 8)
    for devices in (2, 1):
        for ours, theirs in zip(restored(story.run, devices), whole, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_two_sample_what_one_does(alone, tmp_path):
    """Breaks if an image depends on how many processes drew it, or both write the file."""
    words = "sample", f"--workdir={alone}", "--num=20", "--seed=3"
    assert cli.main([*words, f"--out={tmp_path / 'one.npz'}"]) == 0
    with two(tmp_path / "sample", *words, f"--out={tmp_path / 'two.npz'}") as processes:
        (code, out, err), (other, silent, _) = (process.ended() for process in processes)
    assert (code, other) == (0, 0), err
    assert out.count("\n") == 1 and not silent
    one, both = (np.load(tmp_path / f"{name}.npz") for name in ("one", "two"))
    for name in one:
        np.testing.assert_array_equal(one[name], both[name])


@pytest.mark.parametrize("late", [0, 1])
def test_bad_input_ends_both_with_one_sentence(late, tmp_path):
    """Breaks if a mistake in the command is retried by a launcher, or leaves a process waiting for the other, whichever
    finds it first."""
    command = train(tmp_path / "run", "--config.train.batch_size=12")
    with two(tmp_path / "refused", *command, program=("-c", LATE.format(late))) as processes:
        for code, out, err in (process.ended() for process in processes):
            assert code == 2 and not out
            assert "a batch of 12 cannot be spread over 8 devices" in err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


JOIN = "--coordinator=127.0.0.1:{port} --num_processes=2 --process_id=1 --timeout=1"


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    {
        "alone": (JOIN, os.EX_TEMPFAIL, "not all processes came together"),
        "no cluster": ("--distributed", 2, "found no cluster of processes here"),
        "some flags": ("--num_processes=2", 2, "go together: give all three or none"),
        "only the first": ("--process_id=0", 2, "go together: give all three or none"),
        "only a timeout": ("--timeout=9", 2, "--timeout is of several processes: give --distributed or --coordinator"),
        "number too high": (JOIN.replace("id=1", "id=2"), 2, "--process_id must be in 0 .. 1, got 2"),
        "no port": (JOIN.replace(":{port}", ""), 2, "--coordinator must be host:port"),
    }.values(),
)
def test_what_cannot_be_joined_is_refused(flags, code, sentence, tmp_path):
    """Breaks if a process that finds no others trains alone, waits for ever, or ends in a traceback."""
    command = [sys.executable, "-m", "jaxgen", *train(tmp_path / "run"), *flags.format(port=free_port()).split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert ended.returncode == code and sentence in ended.stderr.splitlines()[-1], ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("jaxgen: ") and "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()
