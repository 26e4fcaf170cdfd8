"""The shell text that runs on other machines, run here: by bash, and by a gcloud whose hosts are this one."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import gke
import job
import pytest
import runner
import slurm
import tpu_vm

RUN = ["run", "--name=slice", "--zone=z", "--tpu=v5litepod-16", "--spot"]
TRAIN = ["train", "--config=tests/tiny.py", "--workdir=gs://bucket/run"]
SAVES = "trap 'exit 0' TERM; echo up; for i in $(seq 100); do sleep 0.1; done; exit 3"  # when it is told to stop
HOSTILE = "a b'c\"d; touch owned $(touch owned) `touch owned`"


def bash(text, **options):
    return subprocess.Popen(["bash", "-c", text], stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("code", [0, 2, 134])
def test_forwarding_ends_as_its_command_does(code):
    """The code says whether a run is done, wrong or to be tried again."""
    assert bash(f"{runner.forwarding(f'(exit {code})')}; exit $code").wait() == code


def test_forwarding_hands_the_signal_on_once_and_says_that_the_run_is_not_done(tmp_path):
    """A run that is told to stop saves and ends with 0: taken for done, it would never be finished. Told twice, it
    would not save."""
    run = tmp_path / "run.py"
    run.write_text(
        "import signal, sys, time\ncame = []\nsignal.signal(signal.SIGTERM, lambda *_: came.append(1))\n"
        "print('ready', flush=True)\nwhile not came: time.sleep(0.01)\ntime.sleep(0.3)\nprint(len(came))\n"
    )
    shell = bash(f"{runner.forwarding(shlex.join([sys.executable, str(run)]))}; exit $code")
    assert shell.stdout.readline() == "ready\n"
    shell.send_signal(signal.SIGTERM)
    assert (shell.wait(10), shell.stdout.read()) == (75, "1\n")


def programs(folder, **scripts):
    """The environment in which these programs, by name, are found first."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


SAYS = '#!/bin/bash\nprintf "%s\\n" "$@"\n'


def test_a_hostile_value_is_a_value_in_a_batch_file(tmp_path):
    """A value that leaves its quotes is run as a command on the cluster, also that of a folder with a strange name."""
    environment = programs(tmp_path / "bin", srun=SAYS)
    (one,) = job.jobs(
        [*TRAIN[:2], f"--workdir={tmp_path / HOSTILE.replace('/', '_')}", f"--config.data.dataset={HOSTILE}"]
    )
    args = slurm.parser().parse_args(["submit", f"--name={HOSTILE}", *TRAIN])
    text = slurm.batch_file(one, args, tmp_path / HOSTILE, tmp_path)
    done = subprocess.run(["bash", "-c", text], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, f"\n--config.data.dataset={HOSTILE}\n" in done.stdout) == (0, True)
    assert f"#SBATCH --job-name={shlex.quote(HOSTILE)}\n" in text
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(
    ("code", "restarts", "requeued"), [(0, 0, False), (2, 0, False), (75, 0, True), (137, 3, True), (75, 20, False)]
)
def test_a_job_puts_itself_into_the_queue_again_where_that_helps(tmp_path, code, restarts, requeued):
    """Without it a run ends at its first time limit; without a bound it is never given up."""
    environment = programs(
        tmp_path / "bin", srun=f"#!/bin/bash\nexit {code}\n", scontrol=f"#!/bin/bash\necho $* > {tmp_path}/asked\n"
    )
    environment |= {"SLURM_RESTART_COUNT": str(restarts), "SLURM_JOB_ID": "7"}
    (one,) = job.jobs([*TRAIN[:2], f"--workdir={tmp_path}"])
    text = slurm.batch_file(one, slurm.parser().parse_args(["submit", *TRAIN]), tmp_path, tmp_path)
    assert subprocess.run(["bash", "-c", text], env=environment).returncode == code
    assert (tmp_path / "asked").exists() == requeued
    if requeued:
        assert (tmp_path / "asked").read_text() == "requeue 7\n"


def test_a_hostile_value_is_a_value_in_a_container(tmp_path):
    """xpk puts the command into a shell script, between brackets: it must stay one line, and one command."""
    environment = programs(tmp_path / "bin", jaxgen=SAYS)
    (one,) = job.jobs([*TRAIN, f"--config.data.dataset={HOSTILE}"])
    where = ["--cluster=c", "--zone=z", "--project=p", "--tpu=v5litepod-16", "--workload=w", "--image=i"]
    command = gke.workload(one, "w", gke.parser().parse_args(["run", *where, *TRAIN]))[-1].removeprefix("--command=")
    inside = f"({command}) & PID=$!; wait $PID"
    done = subprocess.run(["bash", "-c", inside], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, f"\n--config.data.dataset={HOSTILE}\n" in done.stdout) == (0, True)
    assert "\n" not in command and not list(tmp_path.rglob("owned"))


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """A gcloud whose hosts are this machine, with tmp_path for a home, and a jaxgen that does what `script` says.

    cloud(script, states=...) sets both; states are what `describe` says, one after the other, the last for ever.
    """
    home, programs = tmp_path / "home", tmp_path / "bin"
    (home / "jaxgen" / ".venv" / "bin").mkdir(parents=True)
    programs.mkdir()
    gcloud = programs / "gcloud"
    gcloud.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, subprocess, sys\n"
        f"root = pathlib.Path({str(tmp_path)!r})\n"
        "with open(root / 'calls', 'a') as file:\n"
        "    file.write(json.dumps(sys.argv[1:]) + chr(10))\n"
        "verb = sys.argv[4]\n"
        "if verb == 'describe':\n"
        "    first, *rest = json.loads((root / 'states').read_text())\n"
        "    (root / 'states').write_text(json.dumps(rest or [first]))\n"
        "    print(first)\n"
        "command = [text.partition('=')[2] for text in sys.argv if text.startswith('--command=')]\n"
        "if command and 'rm -rf jaxgen' not in command[0]:\n"
        "    os.environ['HOME'] = str(root / 'home')\n"
        "    sys.exit(subprocess.run(['bash', '-c', command[0]]).returncode)\n"
    )
    gcloud.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(tpu_vm, "POLL", 0.01)

    def prepare(script, states=("ACTIVE",)):
        jaxgen = home / "jaxgen" / ".venv" / "bin" / "jaxgen"
        jaxgen.write_text(f"#!/bin/bash\n{script}\n")
        jaxgen.chmod(0o755)
        (tmp_path / "states").write_text(json.dumps(list(states)))
        return home / "jaxgen"

    prepare.verbs = lambda: [json.loads(line)[3] for line in (tmp_path / "calls").read_text().splitlines()]
    return prepare


def test_a_run_is_started_detached_and_followed_to_its_end(cloud, capfd):
    """The whole way of a run on a slice: what it says is shown, and its exit code comes back."""
    cloud('echo "got $*"; sleep 0.2; echo end')
    assert tpu_vm.main([*RUN, *TRAIN]) == 0
    shown = capfd.readouterr().out
    assert "got train --config=tests/tiny.py --workdir=gs://bucket/run --distributed\nend\n" in shown
    assert cloud.verbs() == ["ssh", "ssh"]


def test_a_hostile_value_is_a_value(cloud, capfd):
    """A value that leaves its quotes is run as a command on every host."""
    folder = cloud('printf "%s\\n" "$@"')
    assert tpu_vm.main([*RUN, *TRAIN, f"--config.data.dataset={HOSTILE}"]) == 0
    assert f"\n--config.data.dataset={HOSTILE}\n" in capfd.readouterr().out
    assert not list(folder.parent.rglob("owned"))


def test_a_wrong_run_is_not_started_again(cloud):
    """Exit code 2 is bad input: a second run would say the same, for money."""
    cloud("exit 2")
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 2
    assert cloud.verbs() == ["ssh", "ssh", "describe"]


def test_a_lost_process_starts_all_again(cloud):
    """75 is what jaxgen ends with when a peer is gone: what is left is ended on all hosts, and all start again."""
    folder = cloud("[ -e ../again ] && exit 0; touch ../again; exit 75")
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 0
    assert cloud.verbs() == ["ssh", "ssh", "describe", "describe", "ssh", "ssh", "ssh"]
    assert (folder / "logs" / "code").read_text() == "0\n"


def test_a_preempted_slice_is_replaced(cloud):
    """A spot slice is taken away: it is deleted, queued for again, waited for, set up, and the run goes on there."""
    states = ["SUSPENDING", "SUSPENDED", "SUSPENDED", "WAITING_FOR_RESOURCES", "ACTIVE"]
    cloud("[ -e ../again ] && exit 0; touch ../again; exit 1", states)
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 0
    assert cloud.verbs() == [
        *("ssh", "ssh", "describe"),  # it failed, since the slice went
        *("describe", "describe", "delete", "create", "describe", "describe", "scp", "ssh"),
        *("ssh", "ssh"),
    ]


def test_a_host_that_shuts_down_is_not_done(cloud):
    """All processes of a host get SIGTERM when it goes: the run saves and ends with 0, but must go on elsewhere."""
    folder = cloud(SAVES)
    launched = subprocess.Popen([sys.executable, tpu_vm.__file__, *RUN, "--max_restarts=0", *TRAIN])
    session = until(lambda: int((folder / "logs" / "pid").read_text()))
    until(lambda: "up" in (folder / "logs" / "log").read_text())
    os.killpg(session, signal.SIGTERM)
    assert launched.wait(20) == 75


def test_stop_ends_the_run_for_good(cloud):
    """Who stops a run does not want it to be started again; a second run while one goes on must be refused."""
    folder = cloud(SAVES)
    launched = subprocess.Popen([sys.executable, tpu_vm.__file__, *RUN, *TRAIN])
    until(lambda: "up" in (folder / "logs" / "log").read_text())
    assert tpu_vm.main(["stop", "--name=slice", "--zone=z"]) == 0
    assert launched.wait(20) == 0


def until(found, seconds=10.0):
    """What `found` returns, once it does not fail and is not false."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if value := found():
                return value
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise AssertionError("nothing came")
