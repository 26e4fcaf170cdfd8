"""Orbax, as checkpoints use it: its manager among several processes, which checkpoints stay, what it says and when."""

import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from jaxgen.parallel import multihost
from jaxgen.train.best import Best

PATIENCE = 1200  # seconds that a save may take; a process that is lost meanwhile is found out much sooner


class Together:
    """Where the processes wait for each other while they save in the background. One that has `failed` does not: the
    others never come, as they wait elsewhere for what it was to write."""

    failed: BaseException | None = None

    def __call__(self, *, key: str, timeout_ms: int) -> None:
        self.failed = self.failed or sys.exception()  # the storage library waits in a `finally`, too
        if self.failed is not None:
            raise self.failed
        ocp.multihost.get_barrier_sync_fn()(key=key, timeout_ms=timeout_ms)


class Manager(ocp.CheckpointManager):
    """Whether the run is to stop is asked by the loop alone, which counts otherwise. Which steps there are is what
    process 0 sees, since a network file system may tell the others later."""

    def __init__(self, folder: Path, **options: Any):
        self.together = Together()
        background = ocp.options.AsyncOptions(timeout_secs=PATIENCE, barrier_sync_fn=self.together)
        super().__init__(folder, options=ocp.CheckpointManagerOptions(async_options=background, **options))

    def reached_preemption(self, step: int) -> bool:
        return False

    def all_steps(self, read: bool = False) -> Sequence[int]:
        seen = list(super().all_steps(read))
        number = multihost.agree(len(seen))[0]
        return multihost.agree(np.resize([*seen, 0], number + 1))[0, :number].tolist()


class KeepBest:
    """Of checkpoints with these metrics, the `best`."""

    def __init__(self, best: Best, metrics: Mapping[int, Mapping[str, float]]):
        self.best, self.metrics = best, metrics

    def should_preserve(
        self, checkpoints: Sequence[policies.PolicyCheckpointInfo], *, context: policies.PreservationContext
    ) -> Sequence[bool]:
        known = {checkpoint.step: self.metrics.get(checkpoint.step, {}) for checkpoint in checkpoints}
        chosen = self.best.among({s: m[self.best.metric] for s, m in known.items() if self.best.metric in m})
        return [step in chosen for step in known]


def manager(
    folder: Path, keep: int | None, every: int, best: Best | None, metrics: Mapping[int, Mapping[str, float]]
) -> Manager:
    """Of the checkpoints in `folder`, of which the latest `keep` stay, the multiples of `every` and the `best` by their
    `metrics`; None to read only."""
    if keep is None:
        return Manager(folder, read_only=True, create=False)
    kept: list[policies.PreservationPolicy] = [policies.LatestN(keep)]
    kept += [policies.EveryNSteps(every)] if every else []
    kept += [KeepBest(best, metrics)] if best else []
    return Manager(folder, preservation_policy=policies.AnyPreservationPolicy(kept), cleanup_tmp_directories=True)


@contextmanager
def quiet() -> Iterator[None]:
    """The storage library raises what fails; that it also logs it, and that it leaves reads and writes behind whose end
    nobody awaits, is not shown."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels, before = [logger.level for logger in loggers], sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        sys.unraisablehook = hook
        try:
            yield
        finally:
            sys.unraisablehook = before
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


CONTENT = FileNotFoundError, NotADirectoryError, IsADirectoryError, EOFError, LookupError, TypeError, ValueError
ACCESS = re.compile(
    "PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|ABORTED|CANCELLED|"
    r"os_error_code='(?!ENOENT|ENOTDIR|EISDIR)"
)


def is_damage(error: BaseException) -> bool:
    """Whether a read that raised `error` found something missing or undecodable, rather than did not get at it."""
    if error.__cause__ is not None:
        return is_damage(error.__cause__)
    return isinstance(error, CONTENT) and not ACCESS.search(str(error))


def reason_of(error: BaseException) -> str:
    """The reason of an error of the storage library: that of the operating system, where it has one."""
    if error.__cause__ is not None:
        return reason_of(error.__cause__)
    text = " ".join(str(error).split()).partition(" See full TensorStore")[0]
    system = re.search(r"([^:]+) \[os_error_code", text)
    return system[1].strip() if system else f"{type(error).__name__}: {text[:200]}"
