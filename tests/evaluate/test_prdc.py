"""If these fail, precision, recall, density and coverage are not those of the papers."""

import numpy as np
import pytest

from jaxgen.evaluate.neighbours import leave_one_out, nearest, proximity, self_proximity
from jaxgen.evaluate.prdc import PRDC, prdc


def expected(data, case, k):
    return PRDC(*(float(data[f"{case}/k{k}/{name}"]) for name in ("precision", "recall", "density_le", "coverage_le")))


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("case", ["main", "modecollapse", "ties"])
def test_reference_values(golden, x64, case, k):
    """`ties` tells <= from <, counting a point as its own neighbour shifts all four, swapping the sets swaps two."""
    data = golden("prdc")
    assert prdc(data[f"{case}/real"], data[f"{case}/fake"], k) == pytest.approx(expected(data, case, k), abs=1e-12)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("case", ["main", "modecollapse", "ties"])
def test_float32_moves_no_more_than_one_membership(golden, case, k):
    """One pair of `modecollapse` lies within 3e-8 of a ball's surface, closer than float32 resolves."""
    data = golden("prdc")
    real, fake = data[f"{case}/real"], data[f"{case}/fake"]
    one = 1 / (k * len(fake)) if case == "modecollapse" else 0
    assert prdc(real, fake, k) == pytest.approx(expected(data, case, k), abs=one + 1e-9)


def test_small_distances_far_from_the_origin_survive():
    """The expanded square |a|^2 + |b|^2 - 2ab in float32 returns 0 or noise for neighbours 1e-2 apart at 1000."""
    x = 1000 + np.arange(40, dtype=np.float32)[:, None] * np.float32(1 / 128) * np.ones((1, 8), np.float32)
    np.testing.assert_allclose(leave_one_out(x, 1), 8 / 128**2, rtol=1e-6)


def test_blocks_do_not_show():
    """Rows are taken in blocks; the remainder block must not lose or repeat rows."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(131, 5)).astype("f4"), rng.normal(size=(77, 5)).astype("f4")
    full = np.square(a[:, None].astype(np.float64) - b[None]).sum(-1)
    squared, index = nearest(a, b, 4)
    np.testing.assert_array_equal(index, np.argsort(full, 1)[:, :4])
    np.testing.assert_allclose(squared, np.sort(full, 1)[:, :4], rtol=1e-5)


def test_copies_are_counted_and_named():
    """A generator that recalls training images must be seen to, and which ones."""
    train = np.random.default_rng(0).integers(0, 17, (60, 8, 8)) / 16
    samples = np.concatenate([train[[7, 3, 7]], np.clip(train[10:30] + 1 / 16, 0, 2)])
    near = proximity(samples, train)
    assert near.copies == 3
    np.testing.assert_array_equal(near.indices, [7, 3, 7, *range(10, 30)])
    np.testing.assert_allclose(near.distances[3:], 0.5)
    assert near.median == pytest.approx(0.5)
    assert self_proximity(np.concatenate([train, train[:1]])).copies == 2


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((5, 2)), np.zeros((9, 2)), "k = 5 neighbourhood needs more than 5 samples, got 5"),
        (np.zeros((9, 2)), np.zeros((9, 3)), "got 2 and 3"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), "finite"),
        (np.zeros(9), np.zeros((9, 1)), r"got shape \(9,\)"),
    ],
)
def test_unusable_samples_are_refused(real, fake, message):
    with pytest.raises(ValueError, match=message):
        prdc(real, fake)
    with pytest.raises(ValueError, match="needs|one dimension|finite|shape"):
        proximity(np.zeros((0, 2)), real)
