"""How commands are run: for real, or only shown; and again where a machine was lost, not where the run is wrong.

    python experiments/launch/runner.py 137 75 2

says "again" if a run whose processes ended so may be run again, and ends with the code of the whole: here with 2.
"""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

STOPPED = 75  # EX_TEMPFAIL: stopped by a signal and saved, or another process was lost; the same command goes on
PROGRESS = 600  # seconds of a life after which the restarts before it are forgotten


class Output(NamedTuple):
    """Of a command: its exit code, and what it wrote."""

    code: int
    text: str
    error: str


class Runner(NamedTuple):
    """run(command) -> exit code · read(command) -> its output · sleep(seconds)."""

    run: Callable[[Sequence[str]], int]
    read: Callable[[Sequence[str]], Output]
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

    def read(command: Sequence[str]) -> Output:
        if dry_run:
            show(command)
            return Output(0, "", "")
        done = subprocess.run(command, capture_output=True, text=True)
        return Output(done.returncode, done.stdout.strip(), done.stderr.strip())

    return Runner(run, read, (lambda seconds: None) if dry_run else time.sleep)


def retryable(code: int) -> bool:
    """Whether a process that ended with `code` may be run again: it was killed by a signal (-n of a child, 128 + n from
    a shell), aborted (134, as XLA does when a peer is gone) or STOPPED. Not 0, bad input (2), an error (1), Ctrl-C."""
    by_signal = -code if code < 0 else code - 128
    return code == STOPPED or 0 < by_signal < signal.NSIG and by_signal != signal.SIGINT


def verdict(codes: Sequence[int]) -> int:
    """The exit code of a run whose processes ended with `codes`: 0 if all did, else the first that forbids to run it
    again. A process that is wrong (1, 2) ends the others, which are then killed or say 75: theirs do not count."""
    failed = [code for code in codes if code]
    return next((code for code in failed if not retryable(code)), failed[0] if failed else 0)


def persist(
    attempt: Callable[[], int],
    restarts: int,
    pause: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Call `attempt` until its exit code is not retryable, or `restarts` restarts in a row did not help, `pause`,
    2 `pause`, 4 `pause`, ... at most 600 seconds apart. A life of PROGRESS seconds helped: counting begins anew.
    Returns the last exit code."""
    restart = 0
    while True:
        began = clock()
        code = attempt()
        if clock() - began >= PROGRESS:
            restart = 0
        if not retryable(code) or restart == restarts:
            return code
        wait = min(pause * 2**restart, 600)
        restart += 1
        print(f"ended with {code}: restart {restart} of {restarts} in {wait:g} s", flush=True)
        sleep(wait)


def forwarding(command: str) -> str:
    """Shell text, one line: run `command`, hand SIGTERM on to it, and end with its code, but STOPPED instead of 0 where
    the signal came: it saved, and is not done. For whoever signals only the shell (Slurm's batch script, a container).
    """
    return (
        f"""trap 'stopped=1; kill -TERM "$child"' TERM; {command} & child=$!; wait "$child"; code=$?; """
        """while [ "$stopped" ] && kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done; """
        f"""if [ "$stopped" ] && [ "$code" = 0 ]; then code={STOPPED}; fi"""
    )


if __name__ == "__main__":
    ended = verdict([int(code) for code in sys.argv[1:]])
    print("again" if retryable(ended) else "")
    sys.exit(ended)
