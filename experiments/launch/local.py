"""Several processes on this machine, as one run: python experiments/launch/local.py --processes=2 --devices=4 train ...

The flags of this script come first, then a command line of jaxgen. What process i says is in <workdir>/logs/<i>.log;
what process 0 says is shown. If one fails, the others are ended, and all start again from the last checkpoint.
"""

import argparse
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from job import Job, each, guard, jobs
from runner import persist, retryable, verdict

from jaxgen.commands.flags import whole

POLL = 0.1  # seconds
GRACE = 10.0  # seconds from SIGTERM to SIGKILL for processes whose peer is gone: they may sit in a collective


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--processes", type=whole(1), default=1)
    kind = flags.add_mutually_exclusive_group(required=True)
    kind.add_argument("--devices", type=whole(1), help="simulated CPU devices of each process")
    kind.add_argument("--gpus", type=whole(1), help="of those in CUDA_VISIBLE_DEVICES, or all; shared out evenly")
    flags.add_argument("--logs", help="folder of the logs (default: WORKDIR/logs)")
    flags.add_argument("--max_restarts", type=whole(0), default=3, help="in a row, without progress")
    flags.add_argument("--pause", type=float, default=5.0, help="seconds before the first restart; then twice as long")
    flags.add_argument("--dry_run", action="store_true", help="show the commands only")
    flags.add_argument("jaxgen", nargs=argparse.REMAINDER, help="train --config=... --workdir=... [--sweep.KEY=a,b]")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guard(lambda: each(jobs(args.jaxgen), lambda job: launch(job, args)))


def launch(job: Job, args: argparse.Namespace) -> int:
    if args.logs is None and "://" in job.workdir:
        raise ValueError(f"--logs must name a folder here, because the work directory {job.workdir} is elsewhere.")
    logs = Path(args.logs or Path(job.workdir) / "logs")
    if args.dry_run:
        for index in range(args.processes):
            settings = [f"{key}={value}" for key, value in devices(args, index).items()]
            print(shlex.join(["env", *settings, *command(job, "127.0.0.1:PORT", args.processes, index)]))
        return 0
    return persist(lambda: attempt(job, args, logs), args.max_restarts, args.pause, time.sleep)


def command(job: Job, coordinator: str, processes: int, index: int) -> list[str]:
    where = [f"--coordinator={coordinator}", f"--num_processes={processes}", f"--process_id={index}"]
    return [sys.executable, "-m", "jaxgen", *job.arguments, "--distributed", *where]


def devices(args: argparse.Namespace, index: int) -> dict[str, str]:
    """The environment in which process `index` sees its devices and no others."""
    if args.gpus is not None:
        share, rest = divmod(args.gpus, args.processes)
        if rest or not share:
            raise ValueError(f"--gpus={args.gpus} must be a multiple of --processes={args.processes}.")
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        visible = [*map(str, range(args.gpus))] if given is None else [*filter(None, given.split(","))]
        if len(visible) < args.gpus:
            raise ValueError(f"--gpus={args.gpus} are more than CUDA_VISIBLE_DEVICES={given} shows: give fewer.")
        return {"CUDA_VISIBLE_DEVICES": ",".join(visible[index * share : (index + 1) * share])}
    flag = "--xla_force_host_platform_device_count"
    others = [given for given in os.environ.get("XLA_FLAGS", "").split() if not given.startswith(flag)]
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join([*others, f"{flag}={args.devices}"])}


def attempt(job: Job, args: argparse.Namespace, logs: Path) -> int:
    """Run all processes to their end. Returns 0, or the exit code of the first that failed."""
    logs.mkdir(parents=True, exist_ok=True)
    coordinator = f"127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as stack:
        outputs = [stack.enter_context(open(logs / f"{index}.log", "ab")) for index in range(args.processes)]
        shown = stack.enter_context(open(logs / "0.log", "rb"))
        shown.seek(0, os.SEEK_END)
        children: list[subprocess.Popen] = []
        stack.callback(end, children, 0)
        stop = stack.enter_context(signals())
        for index, output in enumerate(outputs):
            children.append(
                subprocess.Popen(
                    command(job, coordinator, args.processes, index),
                    env={**os.environ, **devices(args, index)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C comes to this process, which hands it on
                )
            )
        code = supervise(children, stop, lambda: show(shown))
    return 130 if stop and retryable(code) else code


def supervise(children: list[subprocess.Popen], stop: list[int], tick: Any) -> int:
    """Wait for `children`: the exit code of the first that failed, whereupon the others are ended, else 0. A signal in
    `stop` goes to all as SIGTERM, upon which they save; a second one ends them."""
    told = 0
    while True:
        time.sleep(POLL)
        codes = [child.poll() for child in children]
        tick()
        failed = [code for code in codes if code]
        if failed:
            end(children, GRACE)
            tick()
            return verdict(failed)
        if None not in codes:
            return 0
        if len(stop) > told:
            told = len(stop)
            if told > 1:
                end(children, 0)
            for child in children:
                child.send_signal(signal.SIGTERM)


def end(children: Sequence[subprocess.Popen], grace: float) -> None:
    """Leave none of `children` running: SIGTERM, and after `grace` seconds SIGKILL."""
    for child in children if grace else ():
        child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(child.poll() is None for child in children):
        time.sleep(POLL)
    for child in children:
        child.kill()
        child.wait()


def show(log: Any) -> None:
    sys.stdout.write(log.read().decode(errors="replace"))
    sys.stdout.flush()


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that have come so far."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: came.append(got)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
