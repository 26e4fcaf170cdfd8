"""If these fail, the error printed beside a figure says nothing about how far a new run would move it."""

import numpy as np
import pytest

from jaxgen.evaluate.result import mean_and_error


def test_mean_and_standard_error():
    """The error is that of the mean, ddof 1: std / sqrt(n). A NaN, or a single value, must not become one."""
    assert mean_and_error(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx((2.5, (5 / 3) ** 0.5 / 2))
    with pytest.raises(ValueError, match="1 not finite"):
        mean_and_error(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match="at least 2"):
        mean_and_error(np.array([1.0]))
