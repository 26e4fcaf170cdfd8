"""If these fail, the extrapolated Frechet distance is not the limit of many samples."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution.fd_infinity import frechet_infinity
from jaxgen.evaluate.distribution.frechet import frechet, from_statistics, moments


@pytest.fixture(scope="module")
def case():
    """3000 features that differ from the reference, N(0, 1) in 16 dimensions, by a mean of length 0.5."""
    x = np.random.default_rng(0).normal(size=(3000, 16))
    return x + 0.125, from_statistics(np.zeros(16), np.eye(16))


def test_the_bias_of_few_samples_goes(case):
    """The distance is 0.25; 300 samples say 0.9 more than a fifth more, the line's intercept a hundredth."""
    x, reference = case
    found = frechet_infinity(x, reference, fewest=300)
    assert found.distances[0] > 0.3 and found.slope > 0
    assert found.value == pytest.approx(0.25, abs=0.02)
    assert abs(found.value - 0.25) < abs(found.distances[-1] - 0.25) + 2 * found.error


def test_the_line_is_that_of_subsets_drawn_anew(case):
    """Breaks if one draw is a part of another, as a line through these has residuals that say little of its error, or
    the last one is not of all samples."""
    x, reference = case
    found = frechet_infinity(x, reference, points=4, fewest=600, seed=3)
    np.testing.assert_array_equal(found.sizes, [600, 1400, 2200, 3000])
    rng = np.random.default_rng(3)
    expected = [frechet(moments(x[rng.permutation(3000)[:n]]), reference) for n in found.sizes]
    np.testing.assert_allclose(found.distances, expected, rtol=1e-9)
    slope, value = np.polyfit(1 / found.sizes, expected, 1)
    assert (found.value, found.slope) == (pytest.approx(value), pytest.approx(slope))


def test_the_error_is_what_fresh_samples_scatter_by(case):
    """The scatter about the line is a third of it."""
    _, reference = case
    found = [
        frechet_infinity(np.random.default_rng(i).normal(size=(3000, 16)) + 0.125, reference, fewest=300, seed=i)
        for i in range(40)
    ]
    spread = np.std([one.value for one in found], ddof=1)
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.3)


def test_too_few_samples_are_refused(case):
    x, reference = case
    with pytest.raises(ValueError, match="more than 5013 samples, got 3000"):
        frechet_infinity(x, reference)
