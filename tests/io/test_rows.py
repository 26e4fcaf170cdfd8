"""If these fail, a long computation that was killed starts from the beginning, or goes on with rows of another one."""

import errno
import json
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from jaxgen.io import atomic, rows
from jaxgen.io.pictures import Pictures
from jaxgen.io.rows import Rows, complete

N, SIZE = 22, 5
ALL = np.random.default_rng(0).integers(0, 17, (N, 4, 4, 1)).astype(np.uint8)
QUESTION = {"seed": 3, "sampling": {"steps": 4, "interval": (1.0, 2.0)}}


class Killed(BaseException):
    pass


def answer(computed, stop=None):
    """Computes parts of ALL and notes which; is killed before part `stop`."""

    def compute(parts):
        for part in parts:
            if part == stop:
                raise Killed
            computed.append(part)
            yield ALL[part * SIZE : (part + 1) * SIZE]

    return compute


def stored(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("store", [Rows, lambda *args: Pictures(*args, 17)], ids=["rows", "pictures"])
def test_a_killed_computation_goes_on_and_ends_the_same(store, tmp_path):
    """Breaks if a part is computed twice or not at all, the ragged last one is lost, or the end shows the kill."""
    whole = []
    complete(store(tmp_path / "whole", N, SIZE), QUESTION, answer(whole))
    for stop in range(5):
        computed, told = [], []
        with pytest.raises(Killed):
            complete(store(tmp_path / f"{stop}", N, SIZE), QUESTION, answer(computed, stop))
        complete(store(tmp_path / f"{stop}", N, SIZE), QUESTION, answer(computed), told.append)
        assert computed == whole == [0, 1, 2, 3, 4] and told[-1] == N
        assert stored(tmp_path / f"{stop}") == stored(tmp_path / "whole")


def test_rows_are_read_like_an_array(tmp_path):
    """Breaks if a slice that straddles parts loses, repeats or moves rows."""
    kept = Rows(tmp_path, N, SIZE)
    complete(kept, QUESTION, answer([]))
    np.testing.assert_array_equal(np.concatenate([*kept]), ALL)
    assert len(kept) == N and kept.shape == ALL.shape
    for start, stop in ((0, 22), (3, 4), (4, 6), (0, 5), (5, 10), (7, 21), (20, 99), (21, 22)):
        np.testing.assert_array_equal(kept[start:stop], ALL[start:stop])
    kept.remove()
    assert not tmp_path.exists()


CHANGES = {
    "seed": ({"seed": 4}, N, SIZE, "seed=3, now 4"),
    "setting": ({"sampling": {"steps": 5, "interval": (1.0, 2.0)}}, N, SIZE, "sampling.steps=4, now 5"),
    "unknown key": ({"version": "2"}, N, SIZE, "version=None, now 2"),
    "number": ({}, 19, SIZE, "rows=22, now 19"),
    "batch": ({}, N, 4, "part=5, now 4"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_another_question_are_not_taken(change, tmp_path, capsys):
    """Breaks if samples of another seed, model or sampler are mixed in without a word, or their rest stays."""
    other, n, size, said = CHANGES[change]
    with pytest.raises(Killed):
        complete(Rows(tmp_path, N, SIZE), QUESTION, answer([], stop=3))
    computed = []

    def compute(parts):
        for part in parts:
            computed.append(part)
            yield 16 - ALL[:n][part * size : (part + 1) * size]

    again = Rows(tmp_path, n, size)
    complete(again, QUESTION | other, compute)
    assert computed == list(range(-(-n // size)))
    np.testing.assert_array_equal(np.concatenate([*again]), 16 - ALL[:n])
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_pictures_of_another_question_are_replaced_one_by_one(tmp_path, capsys):
    """Breaks if old images are taken for new ones, or a user's own files in the folder are touched."""
    complete(Pictures(tmp_path, N, SIZE, 17), QUESTION, answer([]))
    (tmp_path / "notes.txt").write_text("mine")
    assert not (tmp_path / "unfinished.json").exists()
    with pytest.raises(Killed):
        complete(Pictures(tmp_path, N, SIZE, 17), QUESTION | {"seed": 4}, answer([], stop=2))
    assert json.loads((tmp_path / "unfinished.json").read_text())["parts"] == 2
    computed = []
    complete(Pictures(tmp_path, N, SIZE, 17), QUESTION, answer(computed))
    assert computed == [0, 1, 2, 3, 4] and "seed=4, now 3" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"
    shown = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("*.png"))]
    np.testing.assert_array_equal(np.stack(shown), np.rint(ALL[..., 0] * (255 / 16)))


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "gone"])
def test_a_damaged_part_is_made_anew(how, tmp_path):
    """Breaks if what a bad disk or a cut copy has left is taken for samples; when it is read, it is refused."""
    for name, file, store in (
        ("rows", "000001.npz", Rows),
        ("pictures", "000007.png", lambda *args: Pictures(*args, 17)),
    ):
        folder = tmp_path / name
        with pytest.raises(Killed):
            complete(store(folder, N, SIZE), QUESTION, answer([], stop=3))
        before = (folder / file).read_bytes()
        damage(folder / file, how)
        computed = []
        if name == "rows" and how != "gone":
            with pytest.raises(ValueError, match="000001.npz is damaged: start the same command again"):
                store(folder, N, SIZE).read(1)
        complete(store(folder, N, SIZE), QUESTION, answer(computed))
        assert computed == [1, 3, 4] and (folder / file).read_bytes() == before


def test_a_damaged_question_is_another_one(tmp_path, capsys):
    """Breaks if a folder whose origin cannot be read is believed, or ends in a traceback."""
    for i, content in enumerate((b"{", b"[]", b"", b'{"seed": 3}')):
        with pytest.raises(Killed):
            complete(Rows(tmp_path / str(i), N, SIZE), QUESTION, answer([], stop=3))
        (tmp_path / str(i) / "question.json").write_bytes(content)
        computed = []
        complete(Rows(tmp_path / str(i), N, SIZE), QUESTION, answer(computed))
        assert computed == [0, 1, 2, 3, 4] and "started anew" in capsys.readouterr().err


@pytest.mark.parametrize("store", [Rows, lambda *args: Pictures(*args, 17)], ids=["rows", "pictures"])
def test_a_computation_that_fails_at_once_leaves_nothing(store, tmp_path):
    """Breaks if a refused command leaves an empty folder behind."""
    with pytest.raises(Killed):
        complete(store(tmp_path / "rows", N, SIZE), QUESTION, answer([], stop=0))
    assert not (tmp_path / "rows").exists()


def test_a_full_disk_keeps_what_was_whole(tmp_path, monkeypatch):
    """Breaks if a part that did not fit leaves its beginning, or costs those before it."""

    def full(number):
        if len(list(tmp_path.glob("0*.npz"))) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(atomic.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            complete(Rows(tmp_path, N, SIZE), QUESTION, answer([]))
    assert sorted(stored(tmp_path)) == ["000000.npz", "000001.npz", "question.json"]
    computed = []
    complete(Rows(tmp_path, N, SIZE), QUESTION, answer(computed))
    assert computed == [2, 3, 4]


WORKER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from jaxgen.io import atomic
from jaxgen.io.rows import Rows, complete

replace, calls = os.replace, []
def killed(*names):
    calls.append(names)
    if len(calls) == 4:  # the question, two parts, and the third in its temporary file
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
atomic.os.replace = killed
everything = np.load(sys.argv[2])
complete(Rows(Path(sys.argv[1]), 22, 5), {"seed": 3}, lambda parts: (everything[5 * k : 5 * k + 5] for k in parts))
"""


def test_a_process_killed_while_it_writes(tmp_path):
    """Breaks if SIGKILL in the middle of a part leaves one that is taken for whole."""
    np.save(tmp_path / "all.npy", ALL)
    command = [sys.executable, "-c", WORKER, str(tmp_path / "rows"), str(tmp_path / "all.npy")]
    done = subprocess.run(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr
    computed = []
    kept = Rows(tmp_path / "rows", N, SIZE)
    complete(kept, {"seed": 3}, answer(computed))
    assert computed == [2, 3, 4]
    np.testing.assert_array_equal(np.concatenate([*kept]), ALL)


def test_memory_holds_a_part_however_many_there_are(tmp_path):
    """Breaks if 50,000 images are held while they are drawn, checked, or read again."""

    def peak(n):
        kept = Rows(tmp_path / str(n), n, 64)
        tracemalloc.start()
        for _ in range(2):
            complete(kept, QUESTION, lambda parts: (np.full((64, 4096), k % 251, np.uint8) for k in parts))
            assert sum(int(part[0, 0]) for part in kept) == sum(k % 251 for k in range(n // 64))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(64)
    few, many = peak(2 * 64), peak(64 * 64)  # 0.5 MB and 16 MB in all
    assert many < few + 64 * 4096, (few, many)


def test_rows_of_a_part_must_be_its_own(tmp_path):
    """Breaks if a batch of the wrong length shifts all rows after it."""
    with pytest.raises(ValueError, match="not of 4 rows"):
        Rows(tmp_path, N, SIZE).write(0, ALL[:4])
    assert rows.count(Rows(tmp_path, N, SIZE)) == 5
