"""What only one of two processes finds broken ends neither in a hang nor in another's collective."""

import os
import shutil
import time
from pathlib import Path

import pytest
from test_two_process import TIMEOUT, two

PROGRAM = str(Path(__file__).parent / "two_checkpoints.py")


def ended(logs: Path, folder: Path, case: str) -> tuple[list[tuple[int, str, str]], float]:
    """How both ended, and the seconds it took."""
    start = time.monotonic()
    with two(logs, str(folder), case, program=(PROGRAM,), timeout=TIMEOUT) as processes:
        return [process.ended() for process in processes], time.monotonic() - start


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    return folder / "checkpoints", ended(folder / "logs", folder / "checkpoints", "damaged")[0]


def test_damage_that_one_process_sees_is_damage_to_all(damaged):
    """Breaks if a damaged part of one process stops a job for good, since the others go on into collectives; or if a
    process that is told late of a step by its file system does not read that step with the others."""
    folder, ((code, out, err), (other, silent, _)) = damaged
    assert (code, other) == (0, 0), err
    assert out.strip() == "[1, 2] 1 True 1" and not silent
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2.damaged"]


def test_what_one_process_may_not_read_is_left_to_a_person(tmp_path):
    """Breaks if a permission, a full memory or a slow network on one machine costs a good checkpoint its name."""
    folder = tmp_path / "checkpoints"
    ends, _ = ended(tmp_path / "logs", folder, "unreachable")
    for (code, out, err), reason in zip(ends, ("by process 1", "Permission denied"), strict=True):
        assert code == 2 and not out and "Traceback" not in err, err
        assert "2 cannot be reached (" in err.splitlines()[-1] and reason in err.splitlines()[-1]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_a_full_disk_of_one_ends_all(damaged, tmp_path):
    """Breaks if a job whose one machine cannot write stands still, and is billed, for twenty minutes."""
    folder = shutil.copytree(damaged[0], tmp_path / "checkpoints")
    ((survivor, _, said), (code, _, err)), seconds = ended(tmp_path / "logs", folder, "full")
    assert code == 2 and "Traceback" not in err, err
    assert "cannot be written in" in err.splitlines()[-1] and "that of step 1 is whole" in err.splitlines()[-1]
    assert survivor == os.EX_TEMPFAIL and said.splitlines()[-1].startswith("jaxgen: another process was lost"), said
    assert seconds < 4 * TIMEOUT
    assert (folder / "1").is_dir() and not (folder / "3").exists()
