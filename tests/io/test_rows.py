"""If these fail, a long computation that was killed starts from the beginning, or goes on with rows of another one."""

import errno
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from jaxgen.io import atomic, rows
from jaxgen.io.rows import Rows, complete
from jaxgen.parallel import multihost

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


def test_a_killed_computation_goes_on_and_ends_the_same(tmp_path):
    """Breaks if a part is computed twice or not at all, the ragged last one is lost, or the end shows the kill."""
    whole = []
    first = Rows(tmp_path / "whole", QUESTION, N, SIZE)
    complete(first, answer(whole))
    for stop in range(5):
        computed, told, again = [], [], Rows(tmp_path / f"{stop}", QUESTION, N, SIZE)
        with pytest.raises(Killed):
            complete(again, answer(computed, stop))
        complete(again, answer(computed), told.append)
        assert computed == whole == [0, 1, 2, 3, 4] and told[-1] == N
        assert stored(again.folder) == stored(first.folder)


def test_rows_are_read_like_an_array(tmp_path):
    """Breaks if a slice that straddles parts loses, repeats or moves rows."""
    kept = Rows(tmp_path / "x", QUESTION, N, SIZE)
    complete(kept, answer([]))
    np.testing.assert_array_equal(np.concatenate([*kept]), ALL)
    assert len(kept) == N and kept.shape == ALL.shape
    for start, stop in ((0, 22), (3, 4), (4, 6), (0, 5), (5, 10), (7, 21), (20, 99), (21, 22)):
        np.testing.assert_array_equal(kept[start:stop], ALL[start:stop])
    kept.remove()
    assert not stored(tmp_path)


CHANGES = {
    "seed": ({"seed": 4}, N, SIZE, "seed=3, now 4"),
    "setting": ({"sampling": {"steps": 5, "interval": (1.0, 2.0)}}, N, SIZE, "sampling.steps=4, now 5"),
    "unknown key": ({"version": "2"}, N, SIZE, "version=None, now 2"),
    "number": ({}, 19, SIZE, "rows=22, now 19"),
    "batch": ({}, N, 4, "part=5, now 4"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_another_question_are_not_taken(change, tmp_path, capsys):
    """Breaks if samples of another seed, model or sampler are mixed in without a word, or lost: a killed run of 50,000
    by a quick look at 64."""
    other, n, size, said = CHANGES[change]
    before, computed = Rows(tmp_path / "x", QUESTION, N, SIZE), []
    with pytest.raises(Killed):
        complete(before, answer(computed, stop=3))

    def compute(parts):
        for part in parts:
            computed.append(part)
            yield 16 - ALL[:n][part * size : (part + 1) * size]

    now = Rows(tmp_path / "x", QUESTION | other, n, size)
    complete(now, compute)
    assert computed == [0, 1, 2, *range(-(-n // size))]
    np.testing.assert_array_equal(np.concatenate([*now]), 16 - ALL[:n])
    err = capsys.readouterr().err
    assert said in err and str(before.folder) in err and err.count("\n") == 1
    now.remove()
    complete(before, answer(computed))
    assert computed[-2:] == [3, 4] and not capsys.readouterr().err
    np.testing.assert_array_equal(np.concatenate([*before]), ALL)


def test_two_commands_at_once_do_not_mix(tmp_path, capsys):
    """Breaks if a command that goes on while another one with the same name of the result runs to its end takes rows of
    that one, or the other way round."""
    slow, quick = (Rows(tmp_path / "x", QUESTION | {"seed": seed}, N, SIZE) for seed in (1, 2))

    def interrupted(parts):
        for part in parts:
            if part == 2:
                complete(quick, lambda parts: (16 - ALL[5 * k : 5 * k + 5] for k in parts))
                np.testing.assert_array_equal(np.concatenate([*quick]), 16 - ALL)
                quick.remove()
            yield ALL[5 * part : 5 * part + 5]

    complete(slow, interrupted)
    np.testing.assert_array_equal(np.concatenate([*slow]), ALL)


def test_the_same_command_twice_at_once_is_one_sentence_and_goes_on(tmp_path, capsys):
    """Breaks if the first that is done costs the other more than what it removes, ends it in a traceback, or leaves a
    folder that is refused."""
    slow, quick = (Rows(tmp_path / "x", QUESTION, N, SIZE) for _ in range(2))

    def interrupted(parts):
        for part in parts:
            if part == 2:
                complete(quick, answer([]))
                quick.remove()
                assert not quick.folder.exists()
            yield ALL[5 * part : 5 * part + 5]

    complete(slow, interrupted)
    with pytest.raises(ValueError, match="000000.npz is gone.*start the same command again"):
        list(slow)
    computed = []
    complete(slow, answer(computed))
    assert computed == [0, 1] and not capsys.readouterr().err
    np.testing.assert_array_equal(np.concatenate([*slow]), ALL)


def test_files_of_others_stay(tmp_path):
    """Breaks if a folder that this program did not make is emptied, or a user's file in one that it made."""
    kept = Rows(tmp_path / "x", QUESTION, N, SIZE)
    kept.folder.mkdir()
    for name in ("000000.npz", "notes.txt"):
        (kept.folder / name).write_text("mine")
        with pytest.raises(ValueError, match="holds files but no question.json"):
            complete(kept, answer([]))
        assert stored(kept.folder) == {name: b"mine"}
        (kept.folder / name).unlink()
    complete(kept, answer([]))
    (kept.folder / "notes.txt").write_text("mine")
    kept.running.write_bytes(b"sums")
    kept.remove()
    assert stored(kept.folder) == {"notes.txt": b"mine"}


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
    kept, computed = Rows(tmp_path / "x", QUESTION, N, SIZE), []
    with pytest.raises(Killed):
        complete(kept, answer([], stop=3))
    before = kept.path(1).read_bytes()
    damage(kept.path(1), how)
    state = "gone" if how == "gone" else "damaged"
    with pytest.raises(ValueError, match=f"000001.npz is {state}.*start the same command again"):
        kept.read(1)
    complete(kept, answer(computed))
    assert computed == [1, 3, 4] and kept.path(1).read_bytes() == before


def test_a_damaged_question_is_another_one(tmp_path, capsys):
    """Breaks if a folder whose origin cannot be read is believed, or ends in a traceback."""
    for i, content in enumerate((b"{", b"[]", b"", b'{"seed": 3}')):
        kept, computed = Rows(tmp_path / str(i), QUESTION, N, SIZE), []
        with pytest.raises(Killed):
            complete(kept, answer([], stop=3))
        (kept.folder / "question.json").write_bytes(content)
        complete(kept, answer(computed))
        assert computed == [0, 1, 2, 3, 4] and "started anew" in capsys.readouterr().err


def test_a_computation_that_fails_at_once_leaves_nothing(tmp_path):
    """Breaks if a refused command leaves an empty folder behind."""
    with pytest.raises(Killed):
        complete(Rows(tmp_path / "rows", QUESTION, N, SIZE), answer([], stop=0))
    assert not stored(tmp_path)


def test_rows_that_another_process_cannot_read_are_not_begun(tmp_path, monkeypatch):
    """Breaks if hours are computed on several machines before one finds that it sees none of the rows."""
    monkeypatch.setattr(multihost, "agree", lambda seen: np.array([seen, False]))
    with pytest.raises(ValueError, match="process 1 does not see: --workdir must be on storage that all"):
        rows.share(Rows(tmp_path / "rows", QUESTION, N, SIZE))
    assert not stored(tmp_path)


def test_a_full_disk_keeps_what_was_whole(tmp_path, monkeypatch):
    """Breaks if a part that did not fit leaves its beginning, or costs those before it."""
    kept = Rows(tmp_path / "x", QUESTION, N, SIZE)

    def full(number):
        if len(list(kept.folder.glob("0*.npz"))) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(atomic.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            complete(kept, answer([]))
    assert sorted(stored(kept.folder)) == ["000000.npz", "000001.npz", "question.json"]
    computed = []
    complete(kept, answer(computed))
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
complete(Rows(Path(sys.argv[1]), {"seed": 3}, 22, 5), lambda parts: (everything[5 * k : 5 * k + 5] for k in parts))
"""


def test_a_process_killed_while_it_writes(tmp_path):
    """Breaks if SIGKILL in the middle of a part leaves one that is taken for whole."""
    np.save(tmp_path / "all.npy", ALL)
    command = [sys.executable, "-c", WORKER, str(tmp_path / "rows"), str(tmp_path / "all.npy")]
    done = subprocess.run(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept, computed = Rows(tmp_path / "rows", {"seed": 3}, N, SIZE), []
    assert any(map(rows.LEFT.fullmatch, stored(kept.folder)))
    complete(kept, answer(computed))
    assert computed == [2, 3, 4]
    assert sorted(stored(kept.folder)) == [*(f"{k:06}.npz" for k in range(5)), "question.json"]
    np.testing.assert_array_equal(np.concatenate([*kept]), ALL)


def test_memory_holds_a_part_however_many_there_are(tmp_path):
    """Breaks if 50,000 images are held while they are drawn, checked, or read again."""

    def peak(n):
        kept = Rows(tmp_path / str(n), QUESTION, n, 64)
        tracemalloc.start()
        for _ in range(2):
            complete(kept, lambda parts: (np.full((64, 4096), k % 251, np.uint8) for k in parts))
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
        Rows(tmp_path, QUESTION, N, SIZE).write(0, ALL[:4])
    assert Rows(tmp_path, QUESTION, N, SIZE).parts == 5
