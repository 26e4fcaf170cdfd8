"""A run outlives damaged checkpoints, full disks, steps that are not finite, and being killed at any moment."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import TINY, refused, train
from disk import full_disk, largest
from test_resume import assert_same_run, saved

from jaxgen.cli import main
from jaxgen.io import writers
from jaxgen.io.checkpoint import checkpoints

DIVERGENT = "--config.optimizer.learning_rate=1e30"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(train(folder)) == 0
    return folder


def test_a_damaged_newest_checkpoint_costs_only_its_steps(whole, tmp_path):
    """Breaks if a run cannot go on past a damaged checkpoint, says it in more than a line, or ends elsewhere."""
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "checkpoints" / "6" / "state" / "manifest.ocdbt").write_bytes(b"")
    command = [sys.executable, "-m", "jaxgen", *train(folder)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    said, *progress = process.stderr.splitlines()
    assert said.startswith("jaxgen: the checkpoint ") and "goes on from step 4" in said and "6.damaged" in said
    assert all("%" in line for line in progress), process.stderr
    assert_same_run(folder, whole)


def test_what_is_not_what_was_written_is_not_sampled_from(whole, tmp_path, capsys):
    """Breaks if damaged weights end up in published samples, or in a traceback."""
    folder = shutil.copytree(whole, tmp_path / "run")
    for arrays in (folder / "checkpoints" / "6" / "state").rglob("d/*"):
        arrays.write_bytes(bytes(byte ^ (place % 50 == 0) for place, byte in enumerate(arrays.read_bytes())))
    said = refused(capsys, "sample", f"--workdir={folder}", "--num=2", f"--out={tmp_path / 'x.png'}")
    assert "6 cannot be read (" in said and "remove it to go back" in said


def test_a_checkpoint_says_what_made_it(whole):
    """Breaks if a checkpoint that was copied away from its run is of no use."""
    with checkpoints(whole / "checkpoints") as reader:
        extra = reader.extra(6)
    assert extra["config"]["train"]["batch_size"] == 16 and extra["version"] and extra["batches"]
    losses = [row["loss"] for row in writers.read_jsonl(whole / "metrics.jsonl")][4:]
    assert extra["metrics"]["loss"] == pytest.approx(sum(losses) / 2)


def test_fused_steps_and_the_best_checkpoint_change_no_step(whole, tmp_path):
    """Breaks if steps a dispatch, or which checkpoints are kept, change what is trained."""
    folder = tmp_path / "run"
    flags = "--config.parallel.fused=2", "--config.train.log_every=2", "--config.train.keep=1"
    assert main(train(folder, *flags, "--config.train.best=highest", "--config.train.best.metric=grad_norm")) == 0
    assert [row["step"] for row in writers.read_jsonl(folder / "metrics.jsonl")] == [2, 4, 6]
    for (step, ours), (_, theirs) in [(saved(folder), saved(whole))]:
        assert step == 6 and all((x == y).all() for x, y in zip(ours, theirs, strict=True))
    with checkpoints(folder / "checkpoints") as reader:
        norms = {row["step"]: row["grad_norm"] for row in writers.read_jsonl(folder / "metrics.jsonl")}
        assert reader.steps() == sorted({6, max(norms, key=norms.get)})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("train.best=lowest", "train.best.metric=los"), "unknown metric of train.best 'los': did you mean 'loss'?"),
        (("train.best=smallest",), "unknown train.best 'smallest': did you mean"),
        (("parallel.fused=4",), "train.steps=6 must be a multiple of parallel.fused=4"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_written(tmp_path, capsys, flags, said):
    """Breaks if a run finds out after hours that it cannot say which checkpoint is the best."""
    assert said in refused(capsys, *train(tmp_path / "run", *(f"--config.{flag}" for flag in flags)))
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_stops_with_its_last_good_state(tmp_path, capsys):
    """Breaks if NaN reach the checkpoint, or a run that has stopped for them goes on as if nothing had been."""
    folder, flags = tmp_path / "run", (DIVERGENT, "--config.train.max_skipped=2", "--config.train.log_every=0")
    said = refused(capsys, *train(folder, *flags))
    assert "stopped at step 4: loss or gradients were not finite in 2 steps in a row" in said
    step, arrays = saved(folder)
    assert step == 4 and all((x == x).all() for x in arrays)
    assert refused(capsys, *train(folder, *flags)) == said
    assert saved(folder)[0] == 4
    assert "stopped at step 6: " in refused(capsys, *train(folder, DIVERGENT, "--config.train.max_skipped=3"))


def test_a_full_disk_costs_only_the_steps_since_the_last_checkpoint(whole, tmp_path, capsys):
    """Breaks if a run on a full disk ends in a traceback, or has no checkpoint left when there is room again."""
    folder = tmp_path / "run"
    assert main(train(folder, "--config.train.steps=2")) == 0
    with full_disk(largest(folder / "checkpoints" / "2").stat().st_size // 2):
        said = refused(capsys, *train(folder))
    assert "cannot be written in" in said and "that of step 2 is whole" in said
    assert main(train(folder)) == 0
    assert_same_run(folder, whole)


def test_metrics_that_cannot_be_written_are_one_sentence(whole, tmp_path, capsys):
    """Breaks if the disk is full for a line of metrics and the sentence does not say of which run."""
    folder = shutil.copytree(whole, tmp_path / "run")
    metrics = folder / "metrics.jsonl"
    with full_disk(metrics.stat().st_size - 10):
        said = refused(capsys, *train(folder, "--config.train.steps=8"))
    assert f"the work directory {folder} cannot be written (File too large)" in said
    assert main(train(folder, "--config.train.steps=8")) == 0
    assert [row["step"] for row in writers.read_jsonl(metrics)] == list(range(1, 9))


def test_a_run_that_was_killed_as_it_began_begins(tmp_path):
    """Breaks if what is left of a half-written config.json makes a work directory one that holds something else."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.k2j4").write_text("{")
    assert main(train(folder, "--config.train.steps=1")) == 0


def test_a_work_directory_that_cannot_be_made_is_one_sentence(capsys):
    """Breaks if a mistyped or protected --workdir ends in a traceback."""
    said = refused(capsys, *train(Path("/proc/run")))
    assert "the work directory /proc/run cannot be written (" in said and "another --workdir" in said


def test_killed_again_and_again_it_is_the_run_that_nobody_killed(tmp_path):
    """Breaks if there is a moment, of start, step or save, at which being killed changes or loses anything."""
    chaos = Path(__file__).parent.parent / "experiments" / "chaos.py"
    command = [sys.executable, str(chaos), f"--config={TINY}", f"--workdir={tmp_path / 'chaos'}", "--kills=3"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.splitlines()[-1].startswith("3 kills in ") and "of 100 steps" in process.stdout
