"""How commands are run: for real, or only shown; and again where a machine was lost, not where the run is wrong."""

import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

STOPPED = 75  # EX_TEMPFAIL: stopped by a signal and saved, or another process was lost; the same command goes on


class Runner(NamedTuple):
    """run(command) -> exit code · read(command) -> its output, "" if it failed · sleep(seconds)."""

    run: Callable[[Sequence[str]], int]
    read: Callable[[Sequence[str]], str]
    sleep: Callable[[float], None]


def runner(dry_run: bool) -> Runner:
    """Shows each command as one could type it, and runs it unless `dry_run`."""

    def show(command: Sequence[str]) -> None:
        print(shlex.join(command), flush=True)
        if not dry_run and shutil.which(command[0]) is None:
            raise ValueError(f"expected the program {command[0]}, found none: install it, or look with --dry_run.")

    def run(command: Sequence[str]) -> int:
        show(command)
        return 0 if dry_run else subprocess.run(command).returncode

    def read(command: Sequence[str]) -> str:
        if dry_run:
            show(command)
            return ""
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    return Runner(run, read, (lambda seconds: None) if dry_run else time.sleep)


def retryable(code: int) -> bool:
    """Whether a process that ended with `code` may be run again: it was killed by a signal (-n of a child, 128 + n from
    a shell), aborted (134, as XLA does when a peer is gone) or STOPPED. Not 0, bad input (2), an error (1), Ctrl-C."""
    by_signal = -code if code < 0 else code - 128
    return code == STOPPED or 0 < by_signal < signal.NSIG and by_signal != signal.SIGINT


def persist(attempt: Callable[[], int], restarts: int, pause: float, sleep: Callable[[float], None]) -> int:
    """Call `attempt` until its exit code is not retryable, at most 1 + `restarts` times, `pause`, 2 `pause`, 4 `pause`,
    ... at most 600 seconds apart. Returns the last exit code."""
    for restart in range(restarts + 1):
        code = attempt()
        if not retryable(code):
            return code
        if restart < restarts:
            wait = min(pause * 2**restart, 600)
            print(f"ended with {code}: restart {restart + 1} of {restarts} in {wait:g} s", flush=True)
            sleep(wait)
    return code


def forwarding(command: str) -> str:
    """Shell text, one line: run `command`, hand SIGTERM on to it, and end with its code, but STOPPED instead of 0 where
    the signal came: it saved, and is not done. For whoever signals only the shell (Slurm's batch script, a container).
    """
    return (
        f"""trap 'stopped=1; kill -TERM "$child"' TERM; {command} & child=$!; wait "$child"; code=$?; """
        """while [ "$stopped" ] && kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done; """
        f"""if [ "$stopped" ] && [ "$code" = 0 ]; then code={STOPPED}; fi"""
    )
