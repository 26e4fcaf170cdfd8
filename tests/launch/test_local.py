"""If these fail, a run of several processes hangs, is given up, or goes on alone when one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import local
import pytest

LAUNCH = [sys.executable, local.__file__, "--processes=2", "--pause=0.1"]
TINY = ["train", "--config=tests/tiny.py"]


@pytest.fixture
def scripts(monkeypatch):
    """scripts([a, b]): process i runs the shell text of its place, where $FOLDER is a fresh one."""

    def use(texts):
        monkeypatch.setattr(local, "command", lambda job, where, n, index: ["bash", "-c", texts[index]])
        monkeypatch.setattr(local, "GRACE", 0.5)

    return use


def launch(tmp_path, *more):
    return local.main(["--processes=2", "--devices=1", "--pause=0", *more, *TINY, f"--workdir={tmp_path / 'run'}"])


def test_a_failure_ends_the_others_soon_and_is_not_tried_again(scripts, tmp_path, capsys):
    """A process whose peer is gone waits in a collective, deaf to SIGTERM: all would hang, and for nothing."""
    scripts(["trap '' TERM; echo zero; for i in $(seq 300); do sleep 0.1; done", "sleep 0.3; echo one; exit 2"])
    began = time.monotonic()
    assert launch(tmp_path) == 2
    assert time.monotonic() - began < 10
    assert capsys.readouterr().out == "zero\n"
    assert [(tmp_path / "run" / "logs" / f"{i}.log").read_text() for i in (0, 1)] == ["zero\n", "one\n"]


def test_a_killed_process_starts_all_again_a_bounded_number_of_times(scripts, tmp_path, capsys):
    """One that dies of the machine it is on, every time, must not be started for ever."""
    scripts(["echo zero; sleep 30", "kill -9 $$"])
    assert launch(tmp_path, "--max_restarts=2") == -9
    assert capsys.readouterr().out.count("restart") == 2
    scripts(["sleep 0.3", f"[ -e {tmp_path}/again ] && exit 0; touch {tmp_path}/again; kill -9 $$"])
    assert launch(tmp_path) == 0


def test_ctrl_c_lets_all_save(tmp_path):
    """SIGINT goes to all as one SIGTERM, upon which they save; they are not started again."""
    program = (
        "import sys, local\n"
        "script = 'trap \"echo saved; exit 0\" TERM; echo up; while :; do sleep .05; done'\n"
        "local.command = lambda *_: ['bash', '-c', script]\n"
        "sys.exit(local.main(sys.argv[1:]))"
    )
    arguments = ["--processes=2", "--devices=1", *TINY, f"--workdir={tmp_path}"]
    folder = str(Path(local.__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], env={**os.environ, "PYTHONPATH": folder})
    logs = [tmp_path / "logs" / f"{i}.log" for i in (0, 1)]
    wait_for(lambda: all("up" in log.read_text() for log in logs))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert [log.read_text() for log in logs] == ["up\nsaved\n"] * 2


def test_no_processes_are_refused(tmp_path, capsys):
    """It would end with 0, as if it had trained."""
    with pytest.raises(SystemExit) as end:
        launch(tmp_path, "--processes=0")
    assert end.value.code == 2
    assert "at least 1" in capsys.readouterr().err


def test_gpus_are_shared_out(monkeypatch):
    """Two processes on one GPU each hold all of its memory: the second fails. GPUs that the user, or Slurm, keeps from
    this run belong to others."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    args = local.parser().parse_args(["--processes=2", "--gpus=4"])
    assert [local.devices(args, i) for i in (0, 1)] == [
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"CUDA_VISIBLE_DEVICES": "2,3"},
    ]
    with pytest.raises(ValueError, match="multiple of --processes"):
        local.devices(local.parser().parse_args(["--processes=3", "--gpus=4"]), 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3,5,GPU-7")
    assert local.devices(args, 1) == {"CUDA_VISIBLE_DEVICES": "5,GPU-7"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    with pytest.raises(ValueError, match="more than CUDA_VISIBLE_DEVICES"):
        local.devices(args, 0)


def test_two_processes_train_and_survive_the_loss_of_one(tmp_path):
    """The real thing: two processes train one model; one is killed, all start again and go on from the checkpoint."""
    options = ["--config.train.steps=200", "--config.train.checkpoint_every=50", "--config.train.log_every=20"]
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(
            [*LAUNCH, "--devices=1", *TINY, f"--workdir={tmp_path / 'run'}", *options],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: (tmp_path / "run" / "checkpoints" / "50").is_dir(), 120)
        victim = next(child for child, line in children(process.pid) if b"--process_id=1" in line)
        os.kill(victim, signal.SIGKILL)
        code = process.wait(180)
    finally:
        process.kill()
    output = (tmp_path / "said").read_text()
    assert code == 0, output
    assert "restart 1 of 3" in output and "trained 200 steps" in output
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(20, 201, 20))
    assert all((tmp_path / "run" / "logs" / f"{i}.log").stat().st_size for i in (0, 1))


def children(pid):
    """(pid, command line) of each child."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child), Path(f"/proc/{child}/cmdline").read_bytes()


def wait_for(come, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if come():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not come")
