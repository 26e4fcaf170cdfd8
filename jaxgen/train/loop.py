"""The training loop: nothing on the step's path but the step.

Devices run ahead of the host: a step is only started here, metrics are fetched when the next step is already running,
and a checkpoint blocks no longer than it takes to copy the state.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxgen.scalars import to_floats
from jaxgen.train.player import Metrics, measured
from jaxgen.train.state import State


class Placed(NamedTuple):
    """step(state, batches) -> (state, metrics of the last) takes the list of `fused` batches that `put` placed, one
    step each, and consumes the state. `whole` gives the state as one global tree on `mesh`, to save and to sample with;
    `spread` is its inverse."""

    step: Callable[[State, Any], tuple[State, Metrics]]
    put: Callable[[list[Any]], Any]
    whole: Callable[[State], State]
    spread: Callable[[State], State]
    fused: int
    mesh: Mesh


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
    """What happens on the way: log(step, metrics, images per second), save(step, state, `means` of the metrics that
    were logged since the last save), picture(step, state), progress(step)."""

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
    reached. Once it is to stop nothing is drawn, and before the first step nothing is new to save. Raises ValueError
    where too many steps in a row were skipped, when the last good state is saved."""
    start = int(placed.whole(state).step)
    pending: tuple[int, Metrics] | None = None  # to be logged, and perhaps still being computed
    rows: list[dict[str, float]] = []  # logged since the last save
    clock, counted = 0.0, start

    def log() -> None:
        nonlocal pending, clock, counted
        if pending is not None:
            (step, metrics), pending = pending, None
            rows.append(to_floats(measured(step, metrics)))
            now = time.monotonic()
            hooks.log(step, rows[-1], batch_size * (step - counted) / (now - clock))
            clock, counted = now, step

    if stopped():
        return start
    for step in range(start + placed.fused, plan.steps + 1, placed.fused):
        state, metrics = placed.step(state, placed.put([next(batches) for _ in range(placed.fused)]))
        if step == start + placed.fused:  # it is compiled now: the rate counts from here
            clock, counted = time.monotonic(), step
        log()
        stopping = stopped()
        last = stopping or step == plan.steps
        if due(step, plan.log_every) or step == plan.steps:
            pending = step, metrics
        lost = bool(rows) and diverged(rows[-1], plan.max_skipped)
        if last or lost or due(step, plan.checkpoint_every) or due(step, plan.keep_every):
            log()
            row = to_floats(measured(step, metrics))
            hooks.save(step, placed.whole(state), means(rows or [row]))
            if diverged(row, plan.max_skipped):
                raise ValueError(divergence(step, plan.max_skipped))
            rows.clear()
        if not stopping and (due(step, plan.sample_every) or last and plan.sample_every):
            hooks.picture(step, placed.whole(state))
        hooks.progress(step)
        if last:
            return step
    return start


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of the finite values of each metric: a skipped step says nothing of a checkpoint. NaN where none is."""
    names = dict.fromkeys(name for row in rows for name in row)
    finite = {name: [row[name] for row in rows if math.isfinite(row.get(name, math.nan))] for name in names}
    return {name: sum(values) / len(values) if values else math.nan for name, values in finite.items()}


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
