"""What the loop does between steps, on a training that only counts."""

from itertools import count
from typing import NamedTuple

import numpy as np
import pytest

from jaxgen.parallel.mesh import make_mesh
from jaxgen.train.best import lowest
from jaxgen.train.loop import Hooks, Placed, Plan, check_multiples, check_resumed, fit
from jaxgen.train.state import State

PLAN = Plan(steps=8, log_every=2, checkpoint_every=4, keep_every=0, sample_every=0, max_skipped=0)


def state_at(step: int, row: int = 0) -> State:
    return State(np.int32(step), {}, {}, (), None, np.array([row, row], np.int32))


def counting(fused: int = 1, bad: range = range(0)) -> Placed:
    """A training whose loss is its step, and not finite at the steps `bad`."""

    def step(state, batches):
        assert len(batches) == fused
        for _ in batches:
            number = int(state.step) + 1
            row = int(state.skipped[1]) + 1 if number in bad else 0
            state = state_at(number, row)
        return state, {"loss": np.float32(np.nan if number in bad else number), "skipped_in_a_row": np.int32(row)}

    return Placed(step, list, lambda state: state, lambda state: state, fused, make_mesh())


class Events(NamedTuple):
    logged: list
    saved: list
    drawn: list
    shown: list


def run(placed, plan, stop=None, start=0):
    """What `fit` reached or raised, and the events on the way."""
    events = Events([], [], [], [])
    hooks = Hooks(
        lambda step, metrics, rate: events.logged.append((step, metrics["loss"])),
        lambda step, state, means: events.saved.append((step, int(state.step), means["loss"])),
        lambda step, state: events.drawn.append(step),
        events.shown.append,
    )
    asked = count(1)

    def stopped():
        return stop is not None and next(asked) >= stop

    try:
        return fit(placed, state_at(start), count(), plan, hooks, 16, stopped), events
    except ValueError as error:
        return str(error), events


def test_a_checkpoint_has_the_means_since_the_one_before():
    """Breaks if the best checkpoint is chosen by other steps than its own."""
    reached, events = run(counting(), PLAN._replace(checkpoint_every=5))
    assert reached == 8
    assert events.logged == [(2, 2), (4, 4), (6, 6), (8, 8)]
    assert events.saved == [(5, 5, 3), (8, 8, 7)]


def test_without_logs_a_checkpoint_has_the_metrics_of_its_step():
    """Breaks if nothing is known of a run that logs nothing."""
    _, events = run(counting(), PLAN._replace(log_every=0))
    assert events.logged == [(8, 8)] and events.saved == [(4, 4, 4), (8, 8, 8)]


def test_fused_steps_are_the_same_steps():
    """Breaks if several steps a dispatch shift logs, checkpoints or pictures."""
    plan = PLAN._replace(sample_every=4)
    one, four = run(counting(), plan), run(counting(fused=2), plan)
    assert one[1][:3] == four[1][:3] and one[0] == four[0] == 8
    assert four[1].shown == [2, 4, 6, 8]


def test_a_signal_saves_where_it_comes():
    """Breaks if a preempted run loses steps, or goes on."""
    reached, events = run(counting(fused=2), PLAN._replace(checkpoint_every=0), stop=3)
    assert reached == 4 and events.saved == [(4, 4, 3)] and events.logged == [(2, 2), (4, 4)]


def test_a_skipped_step_keeps_no_checkpoint_from_being_the_best():
    """Breaks if one bad batch makes the mean NaN, and the best checkpoint is never kept."""
    _, events = run(counting(bad=range(3, 4)), PLAN._replace(log_every=1))
    assert events.saved == [(4, 4, (1 + 2 + 4) / 3), (8, 8, 6.5)]
    assert lowest().among({step: loss for step, _, loss in events.saved}) == {4}
    _, events = run(counting(bad=range(1, 5)), PLAN._replace(log_every=1))
    assert np.isnan(events.saved[0][2]) and np.isfinite(events.saved[1][2])


def test_who_is_stopped_before_the_first_step_takes_none():
    """Breaks if a preemption while a run starts costs its grace period for the compilation of a step."""
    assert run(counting(), PLAN._replace(sample_every=1), stop=1, start=4) == (4, ([], [], [], []))


def test_who_is_stopped_draws_no_picture():
    """Breaks if a run that has seconds left compiles a sampler and draws."""
    for stop, reached in ((5, 4), (9, 8)):
        end, events = run(counting(), PLAN._replace(sample_every=2), stop=stop)
        assert end == reached and events.saved[-1][0] == reached
        assert events.drawn == list(range(2, reached, 2))


def test_a_checkpoint_between_logs_is_judged_by_its_own_step():
    """Breaks if a run that has diverged is saved as one that goes on, since its last log was good."""
    plan = PLAN._replace(steps=20, log_every=10, checkpoint_every=5, max_skipped=2)
    said, events = run(counting(bad=range(4, 99)), plan)
    assert said.startswith("stopped at step 5: ") and [save[0] for save in events.saved] == [5]
    said, events = run(counting(bad=range(7, 99)), plan._replace(steps=8, checkpoint_every=0))
    assert said.startswith("stopped at step 8: ") and [save[0] for save in events.saved] == [8]


@pytest.mark.parametrize("log_every", [0, 1, 2])
def test_a_run_that_diverges_saves_and_stops(log_every):
    """Breaks if a run whose steps are all skipped burns hours, or stops without its last good state."""
    plan = PLAN._replace(steps=20, log_every=log_every, max_skipped=2)
    said, events = run(counting(bad=range(4, 99)), plan)
    step = events.saved[-1][0]
    assert step == {0: 8, 1: 6, 2: 7}[log_every]  # a log is read while the next step runs, or before a checkpoint
    assert said.startswith(f"stopped at step {step}: loss or gradients were not finite in 2 steps in a row")
    assert len(events.saved) == len({save[0] for save in events.saved})


def test_steps_that_are_skipped_now_and_then_stop_nothing():
    """Breaks if a single bad batch ends a run."""
    assert run(counting(bad=range(3, 5)), PLAN._replace(log_every=1, max_skipped=3))[0] == 8
    assert run(counting(bad=range(3, 99)), PLAN)[0] == 8  # max_skipped=0


def test_what_falls_between_fused_steps_is_refused_by_name():
    """Breaks if a checkpoint is silently not saved at its multiple."""
    check_multiples(PLAN, 2)
    for field in ("steps", "log_every", "checkpoint_every", "keep_every", "sample_every"):
        with pytest.raises(ValueError, match=rf"train\.{field}=3 must be a multiple of parallel\.fused=2"):
            check_multiples(PLAN._replace(**{field: 3}), 2)


def test_a_diverged_run_says_so_again_until_more_may_be_skipped():
    """Breaks if the same command goes on silently where it has just stopped."""
    with pytest.raises(ValueError, match="stopped at step 9: .* in 3 steps in a row"):
        check_resumed(state_at(9, row=3), max_skipped=3, fused=1)
    check_resumed(state_at(9, row=3), max_skipped=4, fused=1)
    check_resumed(state_at(9, row=3), max_skipped=0, fused=1)


def test_a_run_between_dispatches_is_refused():
    """Breaks if a run never meets its multiples again."""
    with pytest.raises(ValueError, match=r"at step 5, which is no multiple of parallel\.fused=2"):
        check_resumed(state_at(5), max_skipped=0, fused=2)
