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
import slices
import slurm
import source
import tpu_vm

RUN = ["run", "--name=slice", "--zone=z"]
TRAIN = ["train", "--config=configs/edm/digits_mlp.py", "--workdir=gs://bucket/run"]
SLICE = {"acceleratorType": "v5litepod-16", "runtimeVersion": "tpu-os", "serviceAccount": {"email": "robot@p"}}
SAVES = "trap 'exit 0' TERM; echo up; for i in $(seq 100); do sleep 0.1; done; exit 3"  # when it is told to stop
PYTHON = sys.executable
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


def program(path, script):
    path.write_text(script)
    path.chmod(0o755)


def programs(folder, **scripts):
    """The environment in which these programs, by name, are found first."""
    folder.mkdir()
    for name, script in scripts.items():
        program(folder / name, script)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


SAYS = '#!/bin/bash\nprintf "%s\\n" "$@"\n'


SRUN = """#!{python}
import os, signal, subprocess, sys, time
command = sys.argv[[word.startswith("-") for word in sys.argv[1:]].index(False) + 1 :]
tasks = [subprocess.Popen(command, env={{**os.environ, "SLURM_PROCID": str(i)}}, start_new_session=True)
         for i in range({tasks})]
signal.signal(signal.SIGTERM, lambda *_: [os.killpg(task.pid, signal.SIGTERM) for task in tasks])
while not any(codes := [task.poll() for task in tasks]) and None in codes:
    time.sleep(0.01)
for task in tasks:
    if task.poll() is None:
        os.killpg(task.pid, signal.SIGKILL)
sys.exit(max(code if code >= 0 else 128 - code for code in (task.wait() for task in tasks)))
"""
HANG = "exec sleep 20"  # as in a collective whose peer is gone


def test_a_hostile_value_is_a_value_in_a_batch_file(tmp_path, monkeypatch):
    """A value that leaves its quotes is run as a command on the cluster, also that of a folder with a strange name."""
    python = f'#!/bin/bash\n[ $1 = -m ] || exec {PYTHON} "$@"\nprintf "%s\\n" "$@"\n'
    environment = programs(tmp_path / "bin", srun=SRUN.format(python=PYTHON, tasks=1), python=python)
    monkeypatch.setattr(slurm.sys, "executable", str(tmp_path / "bin" / "python"))
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


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """cluster(tasks) runs a job whose task i does what tasks[i] says: (its exit code, whether it asked to be queued
    again). An srun that, like Slurm's, kills the others when one fails, and ends with the highest code."""

    def turn(tasks, prelude="", **environment):
        folder = tmp_path / "bin"
        python = f'#!/bin/bash\n[ $1 = -m ] || exec {PYTHON} "$@"\ncase $SLURM_PROCID in\n'
        python += "".join(f"{i}) {text};;\n" for i, text in enumerate(tasks)) + "esac\n"
        asks = f"#!/bin/bash\necho $* > {tmp_path}/asked\n"
        srun = SRUN.format(python=PYTHON, tasks=len(tasks))
        if not folder.exists():
            programs(folder)
        for name, script in {"python": python, "srun": srun, "scontrol": asks}.items():
            program(folder / name, script)
        (tmp_path / "asked").unlink(missing_ok=True)
        monkeypatch.setattr(slurm.sys, "executable", str(folder / "python"))
        (one,) = job.jobs([*TRAIN[:2], f"--workdir={tmp_path}"])
        args = slurm.parser().parse_args(["submit", "--max_restarts=2", *TRAIN])
        text = slurm.batch_file(one, args, tmp_path / "logs", tmp_path)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", **environment}
        shell = subprocess.Popen(["bash", "-c", prelude + text], env=environment, start_new_session=True)
        return shell, lambda: (shell.wait(10), (tmp_path / "asked").exists())

    return turn


@pytest.mark.parametrize(
    ("tasks", "code", "queued"),
    [
        (["exit 0", "exit 0"], 0, False),
        ([HANG, "exit 2"], 2, False),
        ([HANG, "exit 1", HANG], 1, False),
        (["sleep 0.2; exit 75", "exit 130"], 130, False),
        ([HANG, "kill -KILL $$"], 137, True),
        (["exit 134", HANG], 134, True),
        (["exit 0", "sleep 0.2; exit 75"], 75, True),
    ],
)
def test_a_wrong_task_is_known_among_those_that_are_killed_for_it(cluster, tasks, code, queued):
    """srun ends with 137, that of the peers it kills: a bug would be run again and again, on all nodes."""
    assert cluster([HANG, "exit 2"])[1]()[0] == 2  # what an earlier turn left says nothing
    assert cluster(tasks)[1]() == (code, queued)


def test_the_notice_reaches_the_tasks_and_the_job_goes_on(cluster, tmp_path):
    """A run that is told of its time limit saves and ends with 0; were the shells around the tasks killed by the same
    signal, no task would say so."""
    saves = f"trap 'exit 0' TERM; touch {tmp_path}/up$SLURM_PROCID; for i in $(seq 300); do sleep 0.1; done; exit 3"
    shell, ended = cluster([saves, saves])
    until(lambda: all((tmp_path / f"up{i}").exists() for i in (0, 1)))
    shell.send_signal(signal.SIGTERM)
    assert ended() == (75, True)
    assert [(tmp_path / "logs" / "codes" / str(i)).read_text() for i in (0, 1)] == ["0\n", "0\n"]


def test_turns_that_lasted_are_not_counted(cluster):
    """Each time limit is a restart: a run of many turns would be given up in the middle, though it trains."""
    assert cluster(["exit 75"], SLURM_RESTART_COUNT="2")[1]() == (75, False)
    assert cluster(["exit 75"], f"SECONDS={runner.PROGRESS}\n", SLURM_RESTART_COUNT="2")[1]() == (75, True)
    assert cluster(["exit 75"], SLURM_RESTART_COUNT="3")[1]() == (75, True)
    assert cluster(["exit 75"], SLURM_RESTART_COUNT="4")[1]() == (75, False)


def test_a_changed_file_is_known(tmp_path):
    """What was edited after it was put on a machine trains as it was before, under the name of what was meant."""
    here, there = tmp_path / "here", tmp_path / "there"
    for place in (here, there):
        for name in ("configs/b.py", "configs/a/z.py", "configs/a.py", "jaxgen/m.py"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(name)
    text = source.unchanged(here, ("configs", "jaxgen"), "set up again")

    def ends():
        done = subprocess.run(["bash", "-c", text], cwd=there, stderr=subprocess.PIPE, text=True)
        return done.returncode, "set up again" in done.stderr

    assert ends() == (0, False)
    (there / "configs" / "a.py").write_text("edited")
    assert ends() == (2, True)
    (there / "configs" / "a.py").rename(there / "configs" / "a2.py")
    assert ends() == (2, True)


@pytest.mark.parametrize(
    "config", ["tests/tiny.py", "configs/../tests/tiny.py", f"{source.CHECKOUT}/configs/edm/ffhq.py"]
)
def test_a_configuration_that_is_not_put_on_machines_is_refused(config):
    """The hosts would find no file, or another, after they were waited and paid for."""
    with pytest.raises(ValueError, match="--config must be configs/"):
        source.check(job.Job(("train", f"--config={config}", "--workdir=gs://b/r"), "gs://b/r"))


def test_a_hostile_value_is_a_value_in_a_container(tmp_path, monkeypatch):
    """xpk puts the command into a shell script, between brackets: it must stay one line, and one command."""
    monkeypatch.setattr(gke, "unchanged", lambda *_: "true")
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
    """A gcloud whose hosts are this machine, each with a home in tmp_path, and a jaxgen that does what `scripts` say.

    cloud(script, ..., states=...) sets both, a script for each host; states are what `describe` says, one after the
    other, the last for ever: a state of the slice, "" where there is none, "ERROR" where gcloud fails.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    program(
        programs / "gcloud",
        f"#!{sys.executable}\n"
        "import json, os, pathlib, subprocess, sys\n"
        f"root, node = pathlib.Path({str(tmp_path)!r}), {SLICE!r}\n"
        "with open(root / 'calls', 'a') as file:\n"
        "    file.write(json.dumps(sys.argv[1:]) + chr(10))\n"
        "verb = sys.argv[4]\n"
        "if verb == 'describe':\n"
        "    first, *rest = json.loads((root / 'states').read_text())\n"
        "    (root / 'states').write_text(json.dumps(rest or [first]))\n"
        "    if first in ('', 'ERROR'):\n"
        "        sys.exit('HTTPError 503' if first else 'NOT_FOUND: Resource was not found')\n"
        "    tpu = {'nodeSpec': [{'node': node}]}\n"
        "    print(json.dumps({'spot': {}, 'state': {'state': first}, 'tpu': tpu}))\n"
        "given = dict(text.removeprefix('--').partition('=')[::2] for text in sys.argv)\n"
        "command = given.get('command')\n"
        "if command and 'rm -rf jaxgen' not in command:\n"
        "    homes = sorted(root.glob('home*')) if given['worker'] == 'all' else [root / 'home0']\n"
        "    run = [subprocess.run(['bash', '-c', command], env={**os.environ, 'HOME': str(home)}) for home in homes]\n"
        "    sys.exit(max(done.returncode for done in run))\n",
    )
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(tpu_vm, "POLL", 0.01)
    monkeypatch.setattr(slices, "POLL", 0.01)

    def prepare(*scripts, states=("ACTIVE",)):
        for i, script in enumerate(scripts):
            folder = tmp_path / f"home{i}" / "jaxgen"
            (folder / ".venv" / "bin").mkdir(parents=True)
            program(folder / ".venv" / "bin" / "jaxgen", f"#!/bin/bash\n{script}\n")
            for name in ("configs", "jaxgen"):
                (folder / name).symlink_to(source.CHECKOUT / name)
        (tmp_path / "states").write_text(json.dumps(list(states)))
        return tmp_path / "home0" / "jaxgen"

    prepare.calls = lambda: [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    prepare.verbs = lambda: [call[3] for call in prepare.calls()]
    return prepare


def test_a_run_is_started_detached_and_followed_to_its_end(cloud, capfd):
    """The whole way of a run on a slice: what it says is shown, and its exit code comes back."""
    cloud('echo "got $*"; sleep 0.2; echo end')
    assert tpu_vm.main([*RUN, *TRAIN]) == 0
    shown = capfd.readouterr().out
    assert "got train --config=configs/edm/digits_mlp.py --workdir=gs://bucket/run --distributed\nend\n" in shown
    assert cloud.verbs() == ["describe", "ssh", "ssh"]


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
    assert cloud.verbs() == ["describe", "ssh", "ssh", "describe"]


def test_a_lost_process_starts_all_again(cloud):
    """75 is what jaxgen ends with when a peer is gone: what is left is ended on all hosts, and all start again."""
    folder = cloud("[ -e ../again ] && exit 0; touch ../again; exit 75")
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 0
    assert cloud.verbs() == ["describe", "ssh", "ssh", "describe", "ssh", "describe", "ssh", "ssh", "ssh"]
    assert (folder / "logs" / "code").read_text() == "0\n"


def test_a_bug_on_another_host_is_not_started_again(cloud):
    """The host that is followed only lost its peer: what that peer died of decides."""
    cloud("exit 75", "sleep 0.3; exit 1")
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 1
    assert cloud.verbs() == ["describe", "ssh", "ssh", "describe", "ssh"]


def test_a_preempted_slice_is_replaced(cloud):
    """A spot slice is taken away: it is deleted, and one of the same type, price and account is queued for, waited for
    and set up, where the run goes on. An on-demand slice in its place would cost several times as much."""
    states = ["ACTIVE", "SUSPENDING", "SUSPENDED", "SUSPENDED", "WAITING_FOR_RESOURCES", "ERROR", "ACTIVE"]
    cloud("[ -e ../again ] && exit 0; touch ../again; exit 1", states=states)
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 0
    assert cloud.verbs() == [
        *("describe", "ssh", "ssh", "describe"),  # it failed, since the slice went
        *("describe", "describe", "delete", "create", "describe", "describe", "describe", "scp", "ssh"),
        *("ssh", "ssh"),
    ]
    (create,) = [call for call in cloud.calls() if call[3] == "create"]
    assert create[4:] == [
        *("slice", "--zone=z", "--node-id=slice-node", "--accelerator-type=v5litepod-16"),
        *("--runtime-version=tpu-os", "--spot", "--service-account=robot@p"),
    ]


@pytest.mark.parametrize(
    ("found", "tier"),
    [
        ({"spot": {}}, ["--spot"]),
        ({"reservationName": "projects/p/locations/z/reservations/-"}, ["--reserved"]),
        ({}, []),
    ],
)
def test_a_slice_is_asked_for_again_as_it_was(found, tier):
    """Each tier has its own price, and its own quota."""
    args = tpu_vm.parser().parse_args([*RUN])
    asked = slices.like({**found, "tpu": {"nodeSpec": [{"node": SLICE}]}}, args)
    assert asked[3:] == [*tier, "--service-account=robot@p"]


@pytest.mark.parametrize("state", ["DELETING", ""])
def test_a_slice_that_was_deleted_is_not_replaced(cloud, state):
    """Who deletes a slice to stop paying must not get another one from a `run` that still watches."""
    cloud("exit 75", states=["ACTIVE", state])
    assert tpu_vm.main([*RUN, "--pause=0", *TRAIN]) == 1
    assert cloud.verbs() == ["describe", "ssh", "ssh", "describe"]


def test_what_changed_since_setup_is_not_run(cloud, capfd):
    """The hosts have the files of `setup`: an edited configuration would train there as it was before."""
    folder = cloud("echo trains")
    (folder / "configs").unlink()
    (folder / "configs").symlink_to(folder / ".venv")
    assert tpu_vm.main([*RUN, *TRAIN]) == 2
    said = capfd.readouterr()
    assert "setup again" in said.err and "trains" not in said.out


CREATE = ["create", "--name=slice", "--zone=z", "--tpu=v5litepod-16"]


def test_create_waits_through_failures_of_gcloud(cloud, capfd):
    """One error of a network would end the wait, and the slice would come, and cost money, unseen."""
    cloud(states=["WAITING_FOR_RESOURCES", "ERROR", "ERROR", "ACTIVE"])
    assert tpu_vm.main([*CREATE, "--spot"]) == 0
    cloud(states=["WAITING_FOR_RESOURCES", "ERROR"])
    assert tpu_vm.main([*CREATE, "--spot"]) == 2
    assert cloud.verbs().count("describe") == 4 + 1 + slices.PATIENCE
    assert "still arrive" in (said := capfd.readouterr().err)
    assert "tpu_vm.py delete --name=slice --zone=z" in said
    cloud(states=[""])
    assert tpu_vm.main([*CREATE, "--spot"]) == 1


def test_create_must_be_told_the_price(capsys):
    """On demand costs several times as much as spot: nobody may get it for a flag that he forgot."""
    with pytest.raises(SystemExit):
        tpu_vm.main([*CREATE, "--dry_run"])
    assert "one of the arguments --spot --on_demand --reserved is required" in capsys.readouterr().err


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
