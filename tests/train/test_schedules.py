"""Numbers that change in the course of a training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.train.schedules import constant, cosine, exponential, linear, piecewise

AT = np.array([0, 1, 5, 10, 1000])


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (constant(0.3), [0.3] * 5),
        (linear(1.0, 3.0, 10), [1.0, 1.2, 2.0, 3.0, 3.0]),
        (cosine(2e-4, 5e-5, 10), [2e-4, 5e-5 + 1.5e-4 * np.cos(np.pi / 20) ** 2, 1.25e-4, 5e-5, 5e-5]),
        (exponential(1.0, 1e-2, 10), [1.0, 10**-0.2, 0.1, 0.01, 0.01]),
        (piecewise((1.0, 0.5, 0.1), (1, 10)), [1.0, 0.5, 0.5, 0.1, 0.1]),
    ],
    ids=["constant", "linear", "cosine", "exponential", "piecewise"],
)
def test_schedules_go_from_start_to_end_and_stay(schedule, values):
    """Breaks if a warm-up overshoots, a decay never ends, or a step is counted from 1."""
    for step, value in zip(AT, values, strict=True):
        np.testing.assert_allclose([schedule(int(step)), jax.jit(schedule)(jnp.int32(step))], value, rtol=1e-6)


def test_what_is_no_schedule_is_refused():
    """Breaks if a schedule of no steps divides by zero, or one with a boundary too many reads past its values."""
    for wrong in (
        lambda: linear(0.0, 1.0, 0),
        lambda: exponential(0.0, 1.0, 5),
        lambda: piecewise((1.0,), (3,)),
        lambda: piecewise((1.0, 2.0, 3.0), (5, 3)),
    ):
        with pytest.raises(ValueError, match="got "):
            wrong()
