"""If these fail, Mode Score and AM Score are not those of the papers."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution.class_scores import am_score, errors, mode_score
from jaxgen.evaluate.distribution.inception_score import inception_score, sums


def test_reference_values(golden):
    """The divergence the other way round, or the form that equals the Inception Score, differ in the third digit."""
    data = golden("inception_score")
    generated, real = sums(data["logits"]), sums(data["real_logits"])
    assert mode_score(generated, real) == pytest.approx(float(data["mode_score_xu2018"]), rel=1e-9)
    assert am_score(generated, real) == pytest.approx(float(data["am_score_zhou2018"]), rel=1e-9)


def test_missing_classes_cost():
    """Sure samples of all classes score their number and 0; half of the classes is divided by 2 and loses log 2."""
    whole, half = sums(900 * np.eye(4)), sums(900 * np.eye(4)[:2])
    assert mode_score(whole, whole) == pytest.approx(4) and am_score(whole, whole) == pytest.approx(0)
    assert mode_score(half, whole) == pytest.approx(1)
    assert am_score(half, whole) == np.inf and mode_score(whole, half) == 0
    with pytest.raises(ValueError, match="got 4 and 3"):
        mode_score(whole, sums(np.eye(3)))


def test_torch_fidelitys_order_and_the_standard_error(golden):
    """The shuffle is part of that figure; the error is what repeated sets of samples scatter by."""
    data = golden("inception_score")
    found = inception_score(data["logits"], 10, shuffle=2020)
    assert found.mean == pytest.approx(float(data["is_mean_splits10_shuffle1"]), rel=1e-9)
    rng = np.random.default_rng(0)
    sets = [3 * rng.normal(size=(300, 8)) for _ in range(100)]
    scores = [inception_score(logits) for logits in sets]
    assert np.mean([score.error for score in scores]) == pytest.approx(np.std([s.mean for s in scores]), rel=0.2)


def test_the_errors_are_what_fresh_sets_scatter_by():
    """Of both sets: the classes of the real ones are random, too."""
    rng = np.random.default_rng(0)
    sets = [(2 * rng.normal(size=(300, 8)) + 0.3 * np.arange(8), 2 * rng.normal(size=(400, 8))) for _ in range(100)]
    found = [[score(sums(a), sums(b)) for score in (mode_score, am_score)] for a, b in sets]
    np.testing.assert_allclose(np.mean([errors(*one) for one in sets[:20]], 0), np.std(found, 0, ddof=1), rtol=0.25)
    assert np.isnan(errors(900 * np.eye(4)[:2], 900 * np.eye(4)).am_score)


def test_logits_that_are_not_finite_are_refused():
    """Breaks if they are written as null, without a word."""
    broken = np.where(np.eye(4) > 0, np.nan, 0)
    for score in (mode_score, am_score):
        for pair in ((broken, np.eye(4)), (np.eye(4), broken)):
            with pytest.raises(ValueError, match="logits must be finite"):
                score(*map(sums, pair))
