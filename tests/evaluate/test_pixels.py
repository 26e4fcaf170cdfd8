"""If these fail, figures on digits no longer compare with the published reference rows of this protocol."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxgen.evaluate.distribution import blocks
from jaxgen.evaluate.distribution.neighbours import self_proximity
from jaxgen.evaluate.pixels import compare, to_levels


@pytest.fixture(scope="module")
def digits():
    images = load_digits().images
    return images[:1437], images[1437:]


def test_held_out_digits_give_the_reference_figures(digits):
    """The rows every sampler is read against: FD 0.273, .86 .79 .71 .43, distance 1.123 (p05 0.773), no copy."""
    train, test = digits
    results = compare(test, train, levels=17)
    values = {result.name: result.value for result in results}
    assert values["FDpix"] == pytest.approx(0.273, abs=5e-4)
    for name, value in {"precision": 0.86, "recall": 0.79, "density": 0.71, "coverage": 0.43}.items():
        assert values[name] == pytest.approx(value, abs=5e-3)
    assert values["nearest_train_median"] == pytest.approx(1.123, abs=5e-4)
    assert values["nearest_train_p05"] == pytest.approx(0.773, abs=5e-4)
    assert values["copies"] == 0


def test_training_digits_among_themselves(digits):
    """The yardstick of memorising: median 1.014 and 5th percentile 0.703 leaving one out."""
    own = self_proximity(to_levels(digits[0], 17))
    assert own.median == pytest.approx(1.014, abs=5e-4)
    assert own.p05 == pytest.approx(0.703, abs=5e-4)


def test_samples_are_rounded_and_clipped_before_they_are_compared(digits):
    """A copy with noise below half a level is still a copy, and overshoot is no distance."""
    train, _ = digits
    rng = np.random.default_rng(0)
    noisy = train[:100] + rng.uniform(-0.49, 0.49, train[:100].shape)
    values = {result.name: result for result in compare(noisy, train, levels=17)}
    assert values["copies"].value == 100
    assert values["precision"].value == 1.0
    np.testing.assert_array_equal(to_levels([[-3.0, 16.4, 22.0, 7.5001]], 17) * 16, [[0, 16, 16, 8]])


def test_unusable_images_are_refused(digits):
    with pytest.raises(ValueError, match="finite"):
        compare(np.full((10, 8, 8), np.nan), digits[0], 17)
    with pytest.raises(ValueError, match=r"training shape \(8, 8\), got \(8, 8, 1\)"):
        compare(np.zeros((10, 8, 8, 1)), digits[0], 17)
    with pytest.raises(ValueError, match="more than 5 samples, got 4"):
        compare(np.zeros((4, 8, 8)), digits[0], 17)


def test_figures_do_not_depend_on_the_blocks_that_are_read(digits, monkeypatch):
    """Breaks if samples that do not fit in memory get other figures: rows lost between blocks, indices counted from a
    block's start, ties broken the other way."""
    train, test = (images[:200] for images in digits)
    test = np.concatenate([test, train[[7, 150]]])
    whole = compare(test, train, 17)
    monkeypatch.setattr(blocks, "BLOCK", 67)
    results = compare(test, train, 17)
    for one, other in zip(results, whole, strict=True):
        error, expected = (0.0 if found.error is None else found.error for found in (one, other))
        assert one.value == pytest.approx(other.value, rel=1e-9) and error == pytest.approx(expected, rel=1e-6)
