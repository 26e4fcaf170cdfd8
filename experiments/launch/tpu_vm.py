"""On a Cloud TPU slice, through gcloud: python experiments/launch/tpu_vm.py run --name=... --zone=... train ...

create: queue for a slice and wait · setup: install the package on all its hosts · run: start it there, follow host 0,
and where the slice is preempted, get another and go on · tail · stop: the run saves and ends · status · delete.

The run does not hang on this terminal: it goes on when the connection is lost, and is followed again from there.
"""

import argparse
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from job import Job, each, guard, jobs
from runner import STOPPED, Runner, persist, retryable, runner, verdict
from slices import (
    DELETED,
    GONE,
    POLL,
    delete,
    describe,
    gcloud,
    like,
    on,
    options,
    request,
    scp,
    ssh,
    state,
    wait,
)
from source import CHECKOUT, check, unchanged

from jaxgen.commands.flags import whole

COPIED = ".ci", "LICENSE", "README.md", "configs", "experiments", "jaxgen", "pyproject.toml"
RUNTIMES = {"v5litepod": "v2-alpha-tpuv5-lite", "v5p": "v2-alpha-tpuv5", "v6e": "v2-alpha-tpuv6e"}
CONNECTION = 255  # exit code of ssh that lost its host

# On a host: logs/pid is the leader of the session that runs, logs/start the number of its start, logs/code what it
# ended with, logs/stop a wish to end it.
RUNS = "[ -e logs/pid ] && kill -0 -- -$(cat logs/pid) 2>/dev/null"
STOP = (
    "cd ~/jaxgen || exit; mkdir -p logs; touch logs/stop; "
    f"if {RUNS}; then kill -TERM -- -$(cat logs/pid); for i in $(seq 120); do {RUNS} || break; sleep 1; done; fi; "
    f"if {RUNS}; then kill -KILL -- -$(cat logs/pid); fi"
)


CODES = f"cd ~/jaxgen || exit; for i in $(seq 120); do {RUNS} || break; sleep 1; done; echo code=$(cat logs/code)"


def start(job: Job, number: int, same: str) -> str:
    """Shell text: where `same` does not end it, start the job in a session of its own, once, however often gcloud
    connects to say so. A host that shuts down tells all its processes to stop; what then saves and ends with 0 is not
    done, and counts as STOPPED."""
    command = shlex.join([".venv/bin/jaxgen", *job.arguments, "--distributed"])
    inside = (
        f"trap stopped=1 TERM; {command}; code=$?; "
        f'if [ "$stopped" ] && [ $code = 0 ] && [ ! -e logs/stop ]; then code={STOPPED}; fi; echo $code > logs/code'
    )
    return (
        f"cd ~/jaxgen || exit; {same}; mkdir -p logs; "
        f'if [ "$(cat logs/start 2>/dev/null)" = {number} ]; then exit 0; fi; '
        f"for i in $(seq 30); do {RUNS} || break; sleep 1; done; "
        f"if {RUNS}; then echo 'a run is going on here: stop it first' >&2; exit 2; fi; "
        f"rm -f logs/code logs/stop; echo {number} > logs/start; "
        f"{{ setsid nohup sh -c {shlex.quote(inside)} > logs/log 2>&1 < /dev/null & echo $! > logs/pid; }}"
    )


def follow(lines: str) -> str:
    """Shell text: show the log from its line `lines` ("+1") or its last `lines` to the end of the run, and end as it
    did: with 137 where not even its shell was left to say how."""
    return f"cd ~/jaxgen || exit; tail -n {lines} -f --pid=$(cat logs/pid) logs/log; exit $(cat logs/code || echo 137)"


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = main.add_subparsers(dest="action", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--name", required=True, help="of the queued resource; its node is NAME-node")
        sub.add_argument("--zone", required=True)
        sub.add_argument("--project", help="default: that of gcloud")
        sub.add_argument("--dry_run", action="store_true", help="show the commands only")
        return sub

    make = command("create", "Queue for a slice and wait until it is there. It costs money until it is deleted.")
    setup = command("setup", "Install the package on all hosts.")
    run = command("run", "Start a job on all hosts, follow it, and see it through preemptions.")
    command("tail", "Follow the job.")
    command("stop", "End the job; it saves.")
    command("status", "Of the slice.")
    command("delete", "Delete the slice.")
    make.add_argument("--tpu", required=True, help="type of the slice, such as v5litepod-16")
    make.add_argument("--runtime", help="software of its hosts (default: that for the type)")
    tier = make.add_mutually_exclusive_group(required=True)
    tier.add_argument("--spot", action="store_true", help="cheaper, and may be taken away at any time")
    tier.add_argument("--on_demand", action="store_true")
    tier.add_argument("--reserved", action="store_true")
    make.add_argument("--service_account", help="of the hosts: it reads and writes the bucket")
    for sub in (setup, run):
        sub.add_argument(
            "--source",
            default=str(CHECKOUT),
            help="a checkout (default: this one), a git URL (URL@REVISION), or a wheel, with this checkout's configs",
        )
    run.add_argument("--max_restarts", type=whole(0), default=20, help="in a row, without progress")
    run.add_argument("--pause", type=float, default=10.0, help="seconds before the first restart; then twice as long")
    run.add_argument("jaxgen", nargs=argparse.REMAINDER, help="train --config=... --workdir=gs://... [--sweep.KEY=a,b]")
    return main


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    system = runner(args.dry_run)
    if args.action == "run":
        return guard(lambda: each(jobs(args.jaxgen), lambda job: run(job, args, system)))
    actions = {"create": create, "setup": setup, "status": status, "delete": delete}
    actions |= {"tail": partial(ssh, "0", follow("100")), "stop": partial(ssh, "all", STOP)}
    return guard(lambda: actions[args.action](args, system))


def create(args: argparse.Namespace, system: Runner) -> int:
    software = args.runtime or RUNTIMES.get(args.tpu.partition("-")[0], "tpu-ubuntu2204-base")
    tier = "spot" if args.spot else "reserved" if args.reserved else None
    return request(options(args, args.tpu, software, tier, args.service_account), args, system) or wait(args, system)


def setup(args: argparse.Namespace, system: Runner) -> int:
    """The same for all hosts: the source in ~/jaxgen, and in its .venv the package with what constraints.txt pins."""
    source = args.source
    package = "--editable '.[gcs]' 'jax[tpu]'"
    unpack = "mkdir jaxgen && tar --extract --file=jaxgen.tar.gz --directory=jaxgen"
    copied = 0
    if "://" in source:
        url, at, revision = source.rpartition("@") if "@" in source.rpartition("/")[2] else (source, "", "HEAD")
        unpack = (
            f"git clone --quiet {shlex.quote(url)} jaxgen && git -C jaxgen checkout --quiet {shlex.quote(revision)}"
        )
    else:
        wheel = source.endswith(".whl")
        folder = CHECKOUT if wheel else Path(source)
        if not Path(source).exists() or not (folder / "pyproject.toml").is_file():
            raise ValueError(f"--source must be a checkout, a wheel or a git URL, got {source}.")
        if wheel:
            package = f"{shlex.quote(f'../{Path(source).name}[gcs]')} 'jax[tpu]'"
        with tempfile.TemporaryDirectory() as scratch:
            packed = f"{'/tmp' if args.dry_run else scratch}/jaxgen.tar.gz"
            pack = ["tar", "--create", "--gzip", f"--file={packed}", f"--directory={folder}", *COPIED]
            copied = system.run(pack) or system.run(scp([packed, *([source] if wheel else [])], args))
    install = [
        f"rm -rf jaxgen && {unpack} && cd jaxgen",
        "python3 -m pip install --quiet --user uv",
        "~/.local/bin/uv venv --quiet --python=3.11 .venv",
        f"~/.local/bin/uv pip install --quiet --python=.venv --constraint=.ci/constraints.txt {package}",
    ]
    return copied or ssh("all", " && ".join(install), args, system)


def run(job: Job, args: argparse.Namespace, system: Runner) -> int:
    """Start the job and see it through. Returns its exit code."""
    if "://" not in job.workdir:
        raise ValueError(f"--workdir must be gs://BUCKET/..., got {job.workdir}: the hosts share no other folder.")
    check(job)
    same = unchanged(*compared(args.source), "setup again")
    found = describe(args, system)
    if not found and not args.dry_run:
        raise ValueError(f"expected a slice {args.name} in {args.zone}, found none: create it and set it up first.")
    another = like(found, args) if found else []
    first, installed = True, True

    def attempt() -> int:
        nonlocal first, installed
        if not first:
            there = state(args, system)
            if installed and there in DELETED:
                return deleted(args)
            if not installed or there != "ACTIVE":
                installed = False
                if replace(another, args, system):
                    return STOPPED
                installed = True
            elif ssh("all", STOP, args, system):
                return STOPPED
        first = False
        code = ssh("all", start(job, 0 if args.dry_run else time.time_ns(), same), args, system)
        return lost(code, args, system) if code else watch(args, system)

    return persist(attempt, args.max_restarts, args.pause, system.sleep)


def compared(source: str) -> tuple[Path, tuple[str, ...]]:
    """A checkout here, and the folders of it that the hosts must have."""
    if "://" in source:
        return CHECKOUT, ("configs",)
    return (CHECKOUT if source.endswith(".whl") else Path(source)), ("configs", "jaxgen")


def replace(another: Sequence[str], args: argparse.Namespace, system: Runner) -> int:
    """A slice with the package, `another` if the old one went. 0 if that is there."""
    found = state(args, system)
    if found in GONE:
        delete(args, system)
    if not found or found in GONE:
        request(another, args, system)
    return wait(args, system) or setup(args, system)


def watch(args: argparse.Namespace, system: Runner) -> int:
    """Follow host 0 to the end of the job, and again as often as the connection breaks while the slice is there."""
    code = ssh("0", follow("+1"), args, system)
    while code == CONNECTION and state(args, system) not in (*GONE, *DELETED):
        system.sleep(POLL)
        code = ssh("0", follow("0"), args, system)
    return lost(code, args, system) if code else 0


def lost(code: int, args: argparse.Namespace, system: Runner) -> int:
    """The exit code of the job on all its hosts, where one ended with `code`; STOPPED where not the job failed, but its
    slice or the way to it."""
    found = state(args, system)
    if found in DELETED:
        return deleted(args)
    if code == CONNECTION or found in GONE:
        return STOPPED
    if not retryable(code):
        return code
    said = system.read(on("all", CODES, args)).text
    return verdict([code, *map(int, re.findall(r"code=(\d+)", said))])


def deleted(args: argparse.Namespace) -> int:
    """What somebody deletes is not replaced."""
    print(f"{args.name} was deleted: the run ends.", flush=True)
    return 1


def status(args: argparse.Namespace, system: Runner) -> int:
    return system.run(gcloud("describe", args, "--format=yaml(name,state,tpu)"))


if __name__ == "__main__":
    sys.exit(main())
