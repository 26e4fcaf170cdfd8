"""Several processes that compute one program: who they are, what they agree on, and how they end together.

Every process runs the same commands on its own devices; arrays are global, host code is not. What is decided on the
host (a step to resume from, whether to stop) is therefore agreed on, and what is written is written by process 0.
With one process all of this is the identity.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from numpy.typing import ArrayLike

GRACE = 30  # seconds for which one that fails waits for the others to fail too
HELD: list[Any] = []  # what C calls when the process aborts, which Python would free
LOST = (
    "another process was lost, or the runtime failed as said above: start all processes again, they go on from the "
    "last checkpoint."
)


def initialize(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: int = 100,
) -> None:
    """Join the other processes, before any other use of JAX: found by themselves on TPU, GKE, Slurm and Open MPI, or
    `num_processes` of them by the `coordinator` "host:port", which is where process 0 runs.

    One that is silent for `timeout` seconds, or at the start does not come, ends all others with exit code 75
    (EX_TEMPFAIL). Raises ValueError where nothing is found or the numbers are wrong, ConnectionError where the others
    are not reached.
    """
    given = coordinator, num_processes, process_id
    bind = None
    if coordinator is not None and num_processes is not None and process_id is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"--coordinator must be host:port, got {coordinator}.")
        if not 0 <= process_id < num_processes:
            raise ValueError(f"--process_id must be in 0 .. {num_processes - 1}, got {process_id}.")
        if host in ("127.0.0.1", "localhost", "[::1]"):
            bind = coordinator  # JAX would listen on all interfaces
    elif given != (None, None, None):
        raise ValueError("--coordinator, --num_processes and --process_id go together: give all three or none.")
    where = coordinator or "the cluster"
    say_if_aborted(f"not all processes came together at {where} within {timeout} s: start all of them together.")
    try:
        jax.distributed.initialize(
            *given,
            cluster_detection_method=None if coordinator is None else "deactivate",
            coordinator_bind_address=bind,
            initialization_timeout=timeout,
            heartbeat_timeout_seconds=timeout,
            shutdown_timeout_seconds=timeout,
        )
        barrier("joined")  # now, since whoever comes two minutes later finds that JAX has given up
    except ValueError as error:
        raise ValueError(
            f"found no cluster of processes here ({' '.join(str(error).split())}): give --coordinator=host:port, "
            "--num_processes and --process_id."
        ) from error
    except jax.errors.JaxRuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(f"this process could not join the others at {where} ({reason}): try again.") from error
    say_if_aborted(LOST)


def is_main() -> bool:
    """Whether this process writes what is written once."""
    return jax.process_index() == 0


def check_shared(path: Path, patience: float = 60.0) -> None:
    """Wait until all processes see `path`, which process 0 has written. Raises ValueError where one does not, after
    `patience` seconds, which a network file system may need."""
    barrier(f"{path} is written")
    deadline = time.monotonic() + patience
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    blind = np.flatnonzero(~agree(path.exists()))
    if len(blind):
        raise ValueError(
            f"process 0 wrote {path}, which process {blind[0]} does not see: --workdir must be on storage that all "
            "processes share, such as gs:// or a network file system."
        )


@contextmanager
def main_first(name: str) -> Iterator[None]:
    """Process 0 goes through the block alone, then all others: one of them prepares what all read."""
    if not is_main():
        barrier(name)
    try:
        yield
    finally:
        if is_main():
            barrier(name)


def agree(values: ArrayLike) -> np.ndarray:
    """The `values` of every process, bit for bit: [processes, ...] in order. A barrier, too."""
    values = np.asarray(values)
    if jax.process_count() == 1:
        return values[None]
    words = multihost_utils.process_allgather(np.frombuffer(values.tobytes(), np.uint8))
    return np.ascontiguousarray(words).view(values.dtype).reshape(-1, *values.shape)


def of_main(tree: Any) -> Any:
    """The host values of process 0 in place of each process's own: where these differ in a last bit, so would the
    programs that are made of them."""
    return jax.tree.map(lambda leaf: agree(leaf)[0], tree)


def barrier(name: str) -> None:
    """Wait until all processes are here. Raises AssertionError where one of them waits at another name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come, to any process: asked by all equally often, it gives all the same answer,
    and says yes ever after.

    With one process a second signal acts as it would outside.
    """
    several, came, agreed, asked = jax.process_count() > 1, False, False, 0
    before: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.signal(number, before[number])
        if several:  # JAX's own handler of SIGTERM tells the other processes
            os.kill(os.getpid(), signal.SIGTERM)

    def stopped() -> bool:
        nonlocal agreed, asked
        if not several:
            return came
        asked += 1
        agreed = agreed or multihost_utils.reached_preemption_sync_point(asked)
        return agreed

    for number in map(int, (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)):
        before[number] = signal.signal(number, handler)
    try:
        yield stopped
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def is_loss(error: BaseException) -> bool:
    """Whether `error`, or what led to it, is a computation that failed because another process is gone."""
    signs = "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "Gloo", "heartbeat"
    before = error.__cause__ or error.__context__
    failed = isinstance(error, jax.errors.JaxRuntimeError) and any(sign in str(error) for sign in signs)
    return failed or before is not None and is_loss(before)


def leave(code: int, timeout: int) -> NoReturn:
    """End a process that failed with `code`: when all have failed, which they mostly do for the same reason and which
    the first to go would abort, or after GRACE seconds or half the `timeout` of `initialize`, since the others may wait
    for it. Process 0, without which no other runs, goes last."""
    sys.stdout.flush()
    sys.stderr.flush()
    if code != os.EX_TEMPFAIL:
        patience = min(GRACE, timeout / 2) + min(3, timeout / 4) * is_main()
        together = threading.Thread(target=jax.distributed.shutdown, daemon=True)  # waits for all
        together.start()
        together.join(patience)
    os._exit(code)


def say_if_aborted(sentence: str) -> None:
    """Where the runtime aborts this process, as it does when another one is lost, its last line is `sentence` and its
    exit code is 75 (EX_TEMPFAIL).

    A Python handler would never run, since abort() does not return to the interpreter; a C one does.
    """

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def handler(number: int) -> None:
        os.write(2, f"jaxgen: {sentence}\n".encode())
        os._exit(os.EX_TEMPFAIL)

    HELD[:] = [handler]
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)
