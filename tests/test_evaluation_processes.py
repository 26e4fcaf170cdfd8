"""If these fail, an evaluation of real processes that was killed, or shared by two, gives other figures."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hashed
import hashed_network
import numpy as np
import pytest
from test_two_process import LONG, two

from jaxgen import cli

PROGRAM = Path(hashed_network.__file__)
REAL, FAKE = 48, 40  # three blocks each


def noted(log: Path, what: str) -> list:
    lines = log.read_text().splitlines() if log.exists() else []
    return [value for kind, value in map(json.loads, lines) if kind == what]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """evaluated(out, log): the figures of two files of images, written to `out` by this process; and the words of the
    command."""
    folder = tmp_path_factory.mktemp("sides")
    for name, n in (("real", REAL), ("fake", FAKE)):
        np.savez(folder / f"{name}.npz", np.stack([hashed.image(f"{name}/{i}", 8, 8) for i in range(n)]))

    def words(out: Path) -> list[str]:
        sides = [f"--{name}={folder}/{name}.npz" for name in ("real", "fake")]
        return ["evaluate", *sides, f"--out={out}", "--metrics=fd@hashed,prdc@hashed,is@hashed,nn@hashed"]

    def run(out: Path, log: Path) -> bytes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROWS", str(log))
            hashed_network.install(patch)
            assert cli.main(words(out)) == 0
        return (out / "metrics.json").read_bytes()

    run.words = words
    return run


@pytest.fixture(scope="module")
def whole(evaluated, tmp_path_factory):
    """What an evaluation in one process, never interrupted, finds."""
    folder = tmp_path_factory.mktemp("whole")
    found = evaluated(folder / "out", folder / "log")
    assert noted(folder / "log", "saw") == [16, 16, 16, 16, 16, 8]
    return found


def test_a_killed_process_goes_on_where_it_was(evaluated, whole, tmp_path):
    """Breaks if SIGKILL amid the samples, which no handler sees, leaves half a file, costs the images that were seen
    before, or moves a byte of what is found."""
    out, log = tmp_path / "out", tmp_path / "log"
    with open(tmp_path / "said", "w") as said:
        command = [sys.executable, PROGRAM, *evaluated.words(out)]
        process = subprocess.Popen(command, env=os.environ | {"ROWS": str(log), "PAUSE": "0.5"}, stderr=said)
        try:
            deadline = time.monotonic() + LONG
            while len(noted(log, "saw")) < 5:  # it waits before the second block of samples
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "said").read_text()
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(list(out.glob("features_*.part.npz"))) == 1 and len(list(out.glob("*"))) == 2
    assert evaluated(out, tmp_path / "again") == whole
    assert noted(tmp_path / "again", "saw") == [16, 8]
    assert not list(out.glob("*.part.npz"))


def test_two_processes_find_what_one_does(evaluated, whole, tmp_path):
    """Breaks if a figure depends on how images are shared out over processes, or both write what is written once."""
    out = tmp_path / "out"
    with two(tmp_path / "logs", *evaluated.words(out), program=(str(PROGRAM),)) as processes:
        (code, said, err), (other, silent, _) = (process.ended() for process in processes)
    assert (code, other) == (0, 0), err
    assert said.splitlines()[-1].endswith("report.html") and not silent
    ours, theirs = (json.loads(text)["figures"] for text in ((out / "metrics.json").read_bytes(), whole))
    assert [*ours] == [*theirs] and len(ours) > 8
    for name in ours:
        numbers = [[found[name][part] or 0 for part in ("value", "error")] for found in (ours, theirs)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-6), name
        assert {**ours[name], "value": 0, "error": 0} == {**theirs[name], "value": 0, "error": 0}
    written = noted(tmp_path / "logs" / "process0.rows", "wrote")
    assert written.count("metrics.json") == written.count("report.html") == 1
    assert not noted(tmp_path / "logs" / "process1.rows", "wrote")
