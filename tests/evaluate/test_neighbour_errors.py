"""If these fail, the errors of precision, recall and the like are of other figures, or a part of what moves them."""

import numpy as np
import pytest

from jaxgen.evaluate import figures
from jaxgen.evaluate.distribution import neighbour_errors, neighbours, prdc
from jaxgen.evaluate.distribution.neighbour_errors import standard_errors, table_of
from jaxgen.evaluate.figures import Seen
from jaxgen.evaluate.neighbourhood import Neighbourhood


def sets(seed, n=150, d=16):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 0.8 * rng.normal(size=(n, d)) + 0.1


def test_they_are_errors_of_the_figures_themselves():
    """Other definitions than those of the figures, ties among levels for one, have other errors."""
    rng = np.random.default_rng(0)
    real, fake = (rng.integers(0, 4, (size, 3)) / 255 for size in (70, 60))
    table = table_of(real, fake)
    near = neighbours.proximity(fake, real)
    realism = prdc.realism(real, fake)
    np.testing.assert_allclose(neighbour_errors.prdc(table, 5), prdc.prdc(real, fake, 5), atol=1e-12)
    np.testing.assert_allclose(neighbour_errors.proximity(table), [near.median, near.p05], atol=1e-6)
    expected = [np.median(realism), (realism >= 1).mean()]
    np.testing.assert_allclose(neighbour_errors.realism(table), expected, rtol=1e-6)


@pytest.mark.parametrize("most", [150, 75])
def test_they_cover_the_spread_of_fresh_sets(most, monkeypatch):
    """The binomial error of recall is a third of what it varies by, as its balls are random, too: of all images of both
    sets, and of a part of them."""
    monkeypatch.setattr(neighbour_errors, "MOST", most)

    def figures(table):
        return np.concatenate([neighbour_errors.prdc(table, 5), neighbour_errors.proximity(table)])

    spread = np.std([figures(table_of(*sets(i))) for i in range(60)], axis=0, ddof=1)
    found = np.nanmean([standard_errors(figures, *sets(i)) for i in range(8)], axis=0)  # NaN where none is found
    assert (found > 0.75 * spread).all() and (found < 3 * spread).all()
    assert found[1] < 2 * spread[1]


def test_what_no_group_moves_has_no_error():
    """Breaks if precision 1 of fifty samples is said to be exact."""
    real, fake = sets(0, 50, 1)
    fake = real.mean() + 0.1 * fake
    found = standard_errors(lambda table: neighbour_errors.prdc(table, 5), real, fake)
    assert np.isnan(found[0]) and found[2] > 0
    precision, _, density, _ = figures.prdc(Seen(50, rows=real), Seen(50, rows=fake), Neighbourhood(real, fake))
    assert precision.value == 1 and precision.error is None and "no ±, as no tenth" in precision.definition
    assert density.error > 0 and "jackknife" in density.definition


def test_too_few_have_none():
    assert standard_errors(lambda table: neighbour_errors.prdc(table, 5), *sets(0, 19)) is None
