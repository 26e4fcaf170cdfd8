"""The training loop: nothing on the step's path but the step.

Devices run ahead of the host: a step is only started here, metrics are fetched when the next step is already running,
and a checkpoint blocks no longer than it takes to copy the state.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from jaxgen.train.player import Metrics
from jaxgen.train.state import State


class Placed(NamedTuple):
    """step(state, batch) -> (state, metrics) takes batches that `put` placed and consumes the state. `whole` gives the
    state as one global tree, to save and to sample with; `spread` is its inverse."""

    step: Callable[[State, Any], tuple[State, Metrics]]
    put: Callable[[Any], Any]
    whole: Callable[[State], State]
    spread: Callable[[State], State]


class Plan(NamedTuple):
    """Train up to `steps`; log, save (for a while, for good) and draw a picture at multiples of the others (0: never)
    and at the end."""

    steps: int
    log_every: int
    checkpoint_every: int
    keep_every: int
    sample_every: int


class Hooks(NamedTuple):
    """What happens on the way: log(step, metrics, images per second), save(step, state), picture(step, state),
    progress(step)."""

    log: Callable[[int, Metrics, float], None]
    save: Callable[[int, State], None]
    picture: Callable[[int, State], None]
    progress: Callable[[int], None]


def fit(placed: Placed, state: State, batches: Iterator[Any], plan: Plan, hooks: Hooks, batch_size: int) -> int:
    """Train `state` on `batches` until plan.steps, or a signal to stop, and save; returns the step that was reached."""
    start = int(placed.whole(state).step)
    running: tuple[int, Metrics] | None = None  # metrics that the device may still be computing
    clock, counted = 0.0, start

    def log() -> None:
        nonlocal running, clock, counted
        if running is not None:
            (step, metrics), running = running, None
            now = time.monotonic()
            hooks.log(step, metrics, batch_size * (step - counted) / (now - clock))
            clock, counted = now, step

    with stop_signal() as stopped:
        for step in range(start + 1, plan.steps + 1):
            state, metrics = placed.step(state, placed.put(next(batches)))
            if step == start + 1:  # it is compiled now: the rate counts from here
                clock, counted = time.monotonic(), step
            log()
            last = step == plan.steps or stopped()
            if due(step, plan.log_every) or step == plan.steps:
                running = step, metrics
            if last or due(step, plan.checkpoint_every) or due(step, plan.keep_every):
                log()
                hooks.save(step, placed.whole(state))
            if due(step, plan.sample_every) or step == plan.steps and plan.sample_every:
                hooks.picture(step, placed.whole(state))
            hooks.progress(step)
            if last:
                return step
    return start


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come; a second one acts as it would outside."""
    came = False
    before: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.signal(number, before[number])

    for number in map(int, (signal.SIGINT, signal.SIGTERM)):
        before[number] = signal.signal(number, handler)
    try:
        yield lambda: came
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
