"""The training loop: nothing on the step's path but the step.

Devices run ahead of the host: a step is only started here, metrics are fetched when the next step is already running,
and a checkpoint blocks no longer than it takes to copy the state.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxgen.io.writers import to_floats
from jaxgen.train.player import Metrics
from jaxgen.train.state import State


class Placed(NamedTuple):
    """step(state, batches) -> (state, metrics of the last) takes the list of `fused` batches that `put` placed, one
    step each, and consumes the state. `whole` gives the state as one global tree, to save and to sample with; `spread`
    is its inverse."""

    step: Callable[[State, Any], tuple[State, Metrics]]
    put: Callable[[list[Any]], Any]
    whole: Callable[[State], State]
    spread: Callable[[State], State]
    fused: int


class Plan(NamedTuple):
    """Train up to `steps`; log, save (for a while, for good) and draw a picture at multiples of the others (0: never)
    and at the end. Stop once `max_skipped` steps in a row (0: however many) were skipped."""

    steps: int
    log_every: int
    checkpoint_every: int
    keep_every: int
    sample_every: int
    max_skipped: int


class Hooks(NamedTuple):
    """What happens on the way: log(step, metrics, images per second), save(step, state, means of the metrics that were
    logged since the last save), picture(step, state), progress(step)."""

    log: Callable[[int, dict[str, float], float], None]
    save: Callable[[int, State, dict[str, float]], None]
    picture: Callable[[int, State], None]
    progress: Callable[[int], None]


def fit(
    placed: Placed,
    state: State,
    batches: Iterator[Any],
    plan: Plan,
    hooks: Hooks,
    batch_size: int,
    stopped: Callable[[], bool],
) -> int:
    """Train `state` on `batches` until plan.steps, or until it is `stopped`, and save; returns the step that was
    reached. Raises ValueError where too many steps in a row were skipped, when the last good state is saved."""
    start = int(placed.whole(state).step)
    running: tuple[int, Metrics] | None = None  # metrics that the device may still be computing
    logged: list[dict[str, float]] = []  # since the last save
    clock, counted = 0.0, start

    def log() -> None:
        nonlocal running, clock, counted
        if running is not None:
            (step, metrics), running = running, None
            logged.append(to_floats(metrics))
            now = time.monotonic()
            hooks.log(step, logged[-1], batch_size * (step - counted) / (now - clock))
            clock, counted = now, step

    for step in range(start + placed.fused, plan.steps + 1, placed.fused):
        state, metrics = placed.step(state, placed.put([next(batches) for _ in range(placed.fused)]))
        if step == start + placed.fused:  # it is compiled now: the rate counts from here
            clock, counted = time.monotonic(), step
        log()
        last = step == plan.steps or stopped()
        if due(step, plan.log_every) or step == plan.steps:
            running = step, metrics
        lost = bool(logged) and diverged(logged[-1], plan.max_skipped)
        if last or lost or due(step, plan.checkpoint_every) or due(step, plan.keep_every):
            log()
            seen = logged or [to_floats(metrics)]
            hooks.save(step, placed.whole(state), {name: mean([row[name] for row in seen]) for name in seen[-1]})
            if diverged(seen[-1], plan.max_skipped):
                raise ValueError(divergence(step, plan.max_skipped))
            logged.clear()
        if due(step, plan.sample_every) or step == plan.steps and plan.sample_every:
            hooks.picture(step, placed.whole(state))
        hooks.progress(step)
        if last:
            return step
    return start


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def check_multiples(plan: Plan, fused: int) -> None:
    """Raises ValueError unless all that happens falls between two dispatches of `fused` steps."""
    for field in ("steps", "log_every", "checkpoint_every", "keep_every", "sample_every"):
        value = getattr(plan, field)
        if value % fused:
            raise ValueError(
                f"train.{field}={value} must be a multiple of parallel.fused={fused}, the steps a dispatch: change one "
                "of them."
            )


def check_resumed(state: State, max_skipped: int, fused: int) -> None:
    """Raises ValueError where `state`, out of a checkpoint, is not one from which this run can go on."""
    step = int(state.step)
    if step % fused:
        raise ValueError(
            f"the run is at step {step}, which is no multiple of parallel.fused={fused}: go on with parallel.fused=1 "
            "up to one that is."
        )
    if max_skipped and int(np.asarray(state.skipped)[1]) >= max_skipped:
        raise ValueError(divergence(step, max_skipped))


def diverged(metrics: dict[str, float], max_skipped: int) -> bool:
    return max_skipped > 0 and metrics["skipped_in_a_row"] >= max_skipped


def divergence(step: int, max_skipped: int) -> str:
    return (
        f"stopped at step {step}: loss or gradients were not finite in {max_skipped} steps in a row, which changed "
        "nothing, and the state before them is saved; lower optimizer.learning_rate or set optimizer.clip in another "
        "work directory, or raise train.max_skipped to go on."
    )
