"""If these fail, sampling, evaluation or likelihood that was killed begins again, or ends in other bytes.

A batch is 8 images here. `killed` lets some batches pass and then ends the command as Ctrl-C does.
"""

import errno
import os
import tracemalloc
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command import TINY, refused, train

from jaxgen import cli
from jaxgen.commands import likelihood, model
from jaxgen.commands.sample import draw, rows_of, write_arrays
from jaxgen.configuration import load
from jaxgen.data import Spec
from jaxgen.io import atomic, pictures
from jaxgen.parallel.mesh import make_mesh

BATCH = "--config.sampling.batch_size=8"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    config = TINY.parent.parent / "configs" / "vdm" / "digits.py"
    small = "model=mlp", "model.width=8", "train.batch_size=16", "train.steps=2", "train.sample_every=0"
    fast = "loss.head=direct", "loss.prediction=eps", "sde=vdm", "loss.objective=bound", "sampling.steps=4", "ema=none"
    chosen = [f"--config.{text}" for text in (*small, *fast, "data.conditional=True", "data.test_split=test[:40]")]
    assert cli.main(train(folder, *chosen, config=config)) == 0
    return folder


@pytest.fixture
def killed(monkeypatch):
    """killed(stop, argv) -> how many batches were computed by the command, which is killed at batch `stop` if any."""

    def attempt(stop, *argv):
        computed = []

        def watched(make):
            def stream(fn, mesh=None):
                run = make(fn, mesh)

                def stopping(*args):
                    for part in run(*args):
                        if len(computed) == stop:
                            raise KeyboardInterrupt
                        computed.append(len(part))
                        yield part

                return stopping

            return stream

        with monkeypatch.context() as patch:
            for room in (model, likelihood):
                patch.setattr(room, "streamed", watched(room.streamed))
            assert cli.main([str(word) for word in argv]) == (0 if stop is None else 130)
        return sum(computed)

    return attempt


def content(path):
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    return path.read_bytes()


@pytest.mark.parametrize("out", ["x.npz", "x.png", "pictures/"])
def test_samples_go_on(out, run, killed, tmp_path, capsys):
    """Breaks if a batch is drawn twice, the last 5 images are lost, or parts stay when all is written."""
    command = ["sample", f"--workdir={run}", "--num=21", BATCH, "--seed=7"]
    assert killed(None, *command, f"--out={tmp_path}/whole/{out}") == 21
    for stop in (1, 2):
        assert killed(stop, *command, f"--out={tmp_path}/{stop}/{out}") == 8 * stop
        assert out == "pictures/" or not (tmp_path / f"{stop}" / out).exists()
        assert killed(None, *command, f"--out={tmp_path}/{stop}/{out}") == 21 - 8 * stop
        assert content(tmp_path / f"{stop}" / out) == content(tmp_path / "whole" / out)
        assert [path.name for path in (tmp_path / f"{stop}").iterdir()] == [out.strip("/")]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("--seed=8", "seed=7, now 8"),
        ("--label=3", "labels="),
        ("--steps=5", "sampling.steps=4, now 5"),
        ("--step=1", "step=2, now 1"),
    ],
)
def test_other_samples_are_others(other, said, run, killed, tmp_path, capsys):
    """Breaks if half of the images are of another seed, class, sampler or checkpoint, or these cost those before."""
    command = ["sample", f"--workdir={run}", "--num=21", BATCH, f"--out={tmp_path}/x.npz"]
    if other == "--step=1":
        assert cli.main(train(tmp_path / "run", "--config.train.steps=2", "--config.train.checkpoint_every=1")) == 0
        command[1] = f"--workdir={tmp_path}/run"
    assert killed(2, *command, "--seed=7") == 16
    capsys.readouterr()
    assert killed(None, *command, *([] if other.startswith("--seed") else ["--seed=7"]), other) == 21
    assert said in capsys.readouterr().err
    assert killed(None, *command, "--seed=7") == 5
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == ["x.npz"]


def test_fewer_pictures_into_the_same_folder_are_refused(run, tmp_path, capsys):
    """Breaks if pictures of an older command are left beside those of this one, or it is said after hours."""
    command = ["sample", f"--workdir={run}", BATCH, f"--out={tmp_path}/pictures/"]
    assert cli.main([*command, "--num=6"]) == 0
    assert "000003.png, which 3 new pictures would leave" in refused(capsys, *command, "--num=3")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
    assert len(list((tmp_path / "pictures").iterdir())) == 6


def test_other_weights_are_another_model(run, killed, tmp_path, capsys):
    """Breaks if a work directory that was trained again at the same path gets half of its samples from its
    predecessor."""
    for seed, stop, count in ((0, 1, 8), (1, None, 21)):
        folder = tmp_path / f"run{seed}"
        assert cli.main(train(folder, "--config.train.steps=1", f"--config.seed={seed}")) == 0
        assert killed(stop, "sample", f"--workdir={folder}", "--num=21", BATCH, f"--out={tmp_path}/x.png") == count
    assert "weights=" in capsys.readouterr().err


def test_an_evaluation_goes_on(run, killed, capsys):
    """Breaks if samples are drawn again that are on disk, for these or for other figures, or stay there in the end."""
    command = ["evaluate", f"--workdir={run}", "--num=45", BATCH, "--config.likelihood.draws=2"]
    folder = run / "eval" / "2"
    images = 45 + 2 * 40
    assert killed(None, *command, "--metrics=fd,prdc,nn,bpd") == images
    whole = content(folder)
    assert killed(2, *command, "--metrics=fd") == 16
    assert (
        killed(4 + 3, *command, "--metrics=fd,prdc,nn,bpd") == 45 - 16 + 3 * 8
    )  # the other samples, and bits of draw 0
    assert {path.name[:-13] for path in folder.iterdir() if path.is_dir()} == {"samples", "bits_per_dim_bound_0"}
    assert killed(None, *command, "--metrics=fd,prdc,nn,bpd") == 2 * 40 - 3 * 8
    assert content(folder) == whole


def test_a_likelihood_goes_on(run, killed, capsys):
    """Breaks if bits of images that are known are computed again, are of another draw, or stay on disk."""
    command = ["likelihood", f"--workdir={run}", "--num=21", "--draws=2", BATCH]

    def line():
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("bits_per_dim_bound ")]

    capsys.readouterr()
    assert killed(None, *command) == 42
    (whole,) = line()
    for draws, count in ((1, 16), (2, 5 + 8)):  # two batches of draw 0; the third, and a batch of draw 1
        command[3] = f"--draws={draws}"
        assert killed(2, *command) == count
    assert killed(None, *command) == 13
    assert line() == [whole]
    assert not list(run.glob("eval/2/bits*"))


def test_a_full_disk_and_a_path_that_cannot_be_written_are_one_sentence(run, tmp_path, capsys, monkeypatch):
    """Breaks if a full disk ends in a traceback, leaves half a file, or costs the batches before."""
    (tmp_path / "file").write_text("mine")
    command = ["sample", f"--workdir={run}", "--num=21", BATCH]
    for out in ("file/x.npz", "file/x.png", "file/pictures/"):
        assert f"{tmp_path}/file is a file" in refused(capsys, *command, f"--out={tmp_path}/{out}")

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.npz")

    real = atomic.os.fsync
    calls = []

    def later(number):
        calls.append(number)
        (real if len(calls) <= 4 else full)(number)  # the question and three parts, but not the result

    with monkeypatch.context() as disk:
        disk.setattr(atomic.os, "fsync", later)
        assert "No space left on device" in refused(capsys, *command, f"--out={tmp_path}/x.npz")
    (kept,) = tmp_path.glob("x.npz.parts-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", kept.name]
    assert cli.main([*command, f"--out={tmp_path}/x.npz"]) == 0
    with np.load(tmp_path / "x.npz") as file:
        assert file["images"].shape == (21, 8, 8, 1) and file["labels"].tolist() == [i % 10 for i in range(21)]


@pytest.mark.parametrize("out", ["x.npz", "pictures"])
def test_memory_does_not_grow_with_the_number_of_images(out, tmp_path):
    """Breaks if images are held until all are drawn, or while the file is written from its parts."""
    shape, batch = (32, 32, 3), 16

    def images(params, keys, cond):
        return jnp.full((len(keys), *shape), 7.0)

    spec = Spec(shape, 256, None, (), 0)
    config = load(TINY, [f"sampling.batch_size={batch}"])
    fake = model.Model(
        SimpleNamespace(config=config, spec=spec, statistics=None),
        SimpleNamespace(sample=images),
        {},
        0,
        make_mesh(devices=jax.devices()[:1]),
    )

    def peak(n):
        tracemalloc.start()
        rows = rows_of(fake, tmp_path / f"{n}.parts", n, 0, None)
        draw(fake, 0, None, rows)
        if out == "pictures":
            pictures.write(tmp_path / str(n), rows, 256)
        else:
            write_arrays(str(tmp_path / f"{n}.npz"), rows, None, 256)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2 * batch)
    few, many = peak(2 * batch), peak(20 * batch)  # 0.1 and 1 MB
    assert many < few + 4 * batch * np.prod(shape), (few, many)
