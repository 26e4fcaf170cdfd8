"""A run that was killed or told to stop, and resumed, is the run that never was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from command import refused, train

from jaxgen import workdir
from jaxgen.cli import main
from jaxgen.commands import train as room
from jaxgen.io import writers
from jaxgen.io.checkpoint import abstract, checkpoints
from jaxgen.recipes import build

# The command line, in a process that kills itself, as kill -9 does, when step 5 has been logged and step 4 saved.
DEADLY = """
import os, pathlib, signal, sys, time
from jaxgen.io import writers

write = writers.jsonl

def jsonl(path, step=0):
    writer = write(path, step)

    def scalars(step, values):
        writer.scalars(step, values)
        if step == 5:
            deadline = time.monotonic() + 60
            while not (pathlib.Path(path).parent / "checkpoints" / "4").is_dir() and time.monotonic() < deadline:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)

    return writer._replace(scalars=scalars)

writers.jsonl = jsonl
from jaxgen.cli import main
sys.exit(main(sys.argv[1:]))
"""


def saved(folder: Path) -> tuple[int, list[np.ndarray]]:
    """The latest step of a run and every array of its state: parameters, optimizer, moving average."""
    run = workdir.read(folder)
    state = jax.jit(build(run.config, run.spec, run.statistics).training.init)(jax.random.key(0), None)
    with checkpoints(run.checkpoints) as reader:
        step = reader.steps()[-1]
        return step, [np.asarray(leaf) for leaf in jax.tree.leaves(reader.restore(step, abstract(state)))]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert main(train(folder)) == 0
    return folder


def assert_same_run(a: Path, b: Path) -> None:
    (step_a, arrays_a), (step_b, arrays_b) = saved(a), saved(b)
    assert step_a == step_b
    for x, y in zip(arrays_a, arrays_b, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (a / "metrics.jsonl").read_bytes() == (b / "metrics.jsonl").read_bytes()


def test_killed_and_resumed_is_uninterrupted_bit_for_bit(uninterrupted, tmp_path, capsys):
    """Breaks if keys, data order, optimizer, moving average or metrics depend on where a run was cut."""
    folder = tmp_path / "killed"
    process = subprocess.run([sys.executable, "-c", DEADLY, *train(folder)], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert writers.read_jsonl(folder / "metrics.jsonl")[-1]["step"] == 5
    with checkpoints(folder / "checkpoints") as reader:
        assert reader.steps()[-1] == 4
    assert main(train(folder)) == 0
    assert "trained 6 steps" in capsys.readouterr().out
    assert_same_run(folder, uninterrupted)


def test_sigterm_saves_and_the_same_command_goes_on(uninterrupted, tmp_path):
    """Breaks if a preempted job loses the steps since its last checkpoint, or is reported as failed."""
    folder = tmp_path / "stopped"
    command = [sys.executable, "-m", "jaxgen", *train(folder)]
    quiet = "--config.train.log_every=1000"
    process = subprocess.Popen(
        [*command, "--config.train.steps=1000000", quiet, "--config.train.checkpoint_every=1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    deadline = time.monotonic() + 120
    while "%" not in (process.stderr.readline()) and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.startswith("stopped at step ") and out.count("\n") == 1
    with checkpoints(folder / "checkpoints") as reader:
        reached = reader.steps()[-1]
    assert f"step {reached} of" in out
    assert main(train(folder, f"--config.train.steps={reached + 1}")) == 0
    assert saved(folder)[0] == reached + 1


@pytest.mark.parametrize(("before", "moment"), [(0, "open_split"), (0, "fit"), (2, "checkpoints")])
def test_sigterm_while_a_run_starts_takes_no_step_and_loses_none(
    moment, before, uninterrupted, tmp_path, capsys, monkeypatch
):
    """Breaks if a job that is preempted while it prepares data, restores or compiles is reported as failed, or spends
    its grace period on a first step."""
    folder, heard = tmp_path / "run", []
    if before:
        assert main(train(folder, f"--config.train.steps={before}")) == 0
    original = getattr(room, moment)

    def told_to_stop(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return original(*arguments)

    outside = signal.signal(signal.SIGTERM, lambda *_: heard.append("nobody listens"))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(room, moment, told_to_stop)
            capsys.readouterr()
            assert main(train(folder)) == 0
    finally:
        signal.signal(signal.SIGTERM, outside)
    out = capsys.readouterr().out
    assert not heard and out.count("\n") == 1 and out.endswith("the same command goes on.\n")
    assert out.startswith("stopped at step 2 of 6" if before else "stopped before the first of 6 steps")
    with checkpoints(folder / "checkpoints") as reader:
        assert reader.steps() == ([before] if before else [])
    assert main(train(folder)) == 0
    assert_same_run(folder, uninterrupted)


@pytest.mark.parametrize("mapping", ["jit", "pmap"])
def test_the_picture_of_a_run_is_that_of_its_model(mapping, tmp_path):
    """Breaks if a picture shows other images than the model draws, copies among them, or cannot be drawn from the state
    of a mapping."""
    folder, picture = tmp_path / "run", "--config.train.sample_every=2"
    command = train(folder, picture, "--config.train.steps=3", f"--config.parallel.mapping={mapping}")
    assert main(command) == 0
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["00000002.png", "00000003.png"]
    assert main(["sample", f"--workdir={folder}", "--num=4", f"--out={tmp_path / 'grid.png'}"]) == 0
    assert (folder / "samples" / "00000003.png").read_bytes() == (tmp_path / "grid.png").read_bytes()


def test_a_run_goes_on_in_its_own_dtype_and_its_model_may_be_used_in_any(uninterrupted, tmp_path, capsys):
    """Breaks if a run in bfloat16 silently ends in float32, or a model is bound to the devices that trained it."""
    half = "--config.parallel.dtype=bfloat16"
    said = refused(capsys, *train(uninterrupted, "--config.train.steps=7", half))
    assert "a run with parallel.dtype=float32, but the configuration says bfloat16" in said
    assert main(["sample", f"--workdir={uninterrupted}", "--num=2", half, f"--out={tmp_path / 'grid.png'}"]) == 0


def test_a_finished_run_is_left_alone(uninterrupted, capsys):
    """Breaks if running the same command again trains further or writes over the result."""
    before = (uninterrupted / "metrics.jsonl").read_bytes()
    assert main(train(uninterrupted)) == 0
    assert "already" in capsys.readouterr().out
    assert (uninterrupted / "metrics.jsonl").read_bytes() == before


def test_pmap_trains_as_jit_does_and_each_resumes_the_other(uninterrupted, tmp_path):
    """Breaks if the two mappings give different gradients, or write checkpoints the other cannot read."""
    folder = tmp_path / "pmap"
    assert main(train(folder, "--config.parallel.mapping=pmap", "--config.train.steps=3")) == 0
    assert main(train(folder, "--config.train.steps=4")) == 0
    assert main(train(folder, "--config.parallel.mapping=pmap")) == 0
    ours, theirs = (writers.read_jsonl(run / "metrics.jsonl") for run in (folder, uninterrupted))
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    np.testing.assert_allclose([row["loss"] for row in ours], [row["loss"] for row in theirs], rtol=1e-5)
