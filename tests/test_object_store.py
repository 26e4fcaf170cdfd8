"""A work directory gs://bucket/run: the whole command line on an object store that lives in memory."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from published import published
from store import PART, Store

from jaxgen.cli import main
from jaxgen.commands.model import open_model
from jaxgen.configuration import plain
from jaxgen.io import atomic, writers
from jaxgen.io.location import location

TRAIN = ["train", "--config=tests/tiny.py", "--workdir=gs://bucket/run"]


def steps(store):
    return [json.loads(line)["step"] for line in store.cat_file("/bucket/run/metrics.jsonl").splitlines()]


def test_a_run_in_a_bucket_is_the_run_in_a_folder(bucket, tmp_path, capfd):
    """Runs on pods keep everything in a bucket: were it lost there, a run could not go on, or would train differently.

    Four steps, then two more from the checkpoint, against six in a folder, in one go.
    """
    assert main([*TRAIN, "--config.train.steps=4"]) == 0
    assert main(TRAIN) == 0
    assert "trained 6 steps; the model is in gs://bucket/run." in capfd.readouterr().out
    assert main([*TRAIN[:2], f"--workdir={tmp_path / 'run'}"]) == 0
    assert bucket.cat_file("/bucket/run/metrics.jsonl") == (tmp_path / "run" / "metrics.jsonl").read_bytes()
    for out, workdir in (("a.npz", "gs://bucket/run"), ("b.npz", tmp_path / "run")):
        assert main(["sample", f"--workdir={workdir}", "--num=2", f"--out={tmp_path / out}"]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert len(bucket.glob("/bucket/run/tensorboard/events*")) == 2


def test_an_interrupted_put_leaves_the_old_object(bucket, monkeypatch):
    """A closed file is a whole object to the store: Ctrl-C in the middle would leave half a config.json for good."""
    old, new = b"old", bytes(10 * PART)
    path = location("gs://bucket/run/config.json")
    atomic.write(path, old)
    arrived = []

    def travel(store, part):
        arrived.append(part)
        if len(arrived) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "travel", travel)
    with pytest.raises(KeyboardInterrupt):
        atomic.write(path, new)
    assert (len(arrived), bucket.cat_file("/bucket/run/config.json")) == (3, old)
    with pytest.raises(ZeroDivisionError), atomic.opened(path) as file:
        file.write(new)
        raise ZeroDivisionError
    assert bucket.cat_file("/bucket/run/config.json") == old
    atomic.write(path, new)
    assert bucket.cat_file("/bucket/run/config.json") == new


def test_lines_are_put_before_the_checkpoint_after_which_a_run_goes_on(bucket):
    """Lines that were only in memory when a run was killed leave a hole in metrics.jsonl, for the run goes on after
    its checkpoint; lines after the checkpoint that was taken up come twice, were they not dropped."""
    path = location("gs://bucket/run/metrics.jsonl")
    killed = writers.jsonl(path)
    for step in (1, 2):
        killed.scalars(step, {"loss": 1.0})
    assert steps(bucket) == []
    killed.flush()
    killed.scalars(3, {"loss": 1.0})
    assert steps(bucket) == [1, 2]
    again = writers.jsonl(path, 1)
    assert steps(bucket) == [1]
    again.scalars(2, {"loss": 1.0})
    again.close()
    assert steps(bucket) == [1, 2]


def test_a_growing_object_is_put_now_and_then(bucket, monkeypatch):
    """Without it nobody could watch a run in a bucket before its first checkpoint."""
    monkeypatch.setattr(writers, "PUT_EVERY", 0.0)
    writer = writers.jsonl(location("gs://bucket/run/metrics.jsonl"))
    for step in (1, 2, 3):
        writer.scalars(step, {"loss": 1.0})
        assert steps(bucket)[-1] == step


def test_a_published_checkpoint_is_converted_into_a_bucket(bucket, tmp_path, golden):
    """A bucket has no rename: its config.json comes last, or half a model would pass for a work directory."""
    config, _ = published(golden("net_ncsnpp_skip_cat"))
    config.data.dataset, config.ema.name = str(tmp_path / "pictures"), "warm"
    file = tmp_path / "config.py"
    file.write_text(
        f"from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict({plain(config)!r})\n"
    )
    source = Path(__file__).parent / "golden" / "checkpoints" / "ncsnpp_skip_cat.pth"
    command = ["convert", "--from=score_sde", f"--checkpoint={source}", f"--config={file}"]
    assert main([*command, "--workdir=gs://bucket/run"]) == main([*command, f"--workdir={tmp_path / 'run'}"]) == 0
    assert bucket.cat_file("/bucket/run/config.json") == (tmp_path / "run" / "config.json").read_bytes()
    restored = [
        np.asarray(jax.tree.leaves(open_model(location(root)).params)[0])
        for root in ("gs://bucket/run", tmp_path / "run")
    ]
    assert np.array_equal(*restored)
    assert list(Store.store)[-1] == "/bucket/run/config.json"


def test_a_missing_package_is_named(monkeypatch, capsys):
    """Who gives a bucket without gcsfs must read what to install, not a traceback."""
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert main(["sample", "--workdir=gs://bucket/run"]) == 2
    assert "pip install 'jaxgen[gcs]'" in capsys.readouterr().err


def test_something_else_in_a_bucket_is_not_overwritten(bucket, capsys):
    """A wrong --workdir must not mix a run into other objects, as in a folder."""
    bucket.pipe_file("/bucket/run/thesis.tex", b"x")
    assert main(TRAIN) == 2
    assert "holds something else" in capsys.readouterr().err
    assert list(Store.store) == ["/bucket/run/thesis.tex"]
