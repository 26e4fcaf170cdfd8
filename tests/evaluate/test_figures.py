"""If these fail, a figure is not the metric that it names, or its error not its error."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.distribution.inception_score import inception_score, sums
from jaxgen.evaluate.distribution.kernel import cmmd, kid_full
from jaxgen.evaluate.distribution.neighbours import proximity
from jaxgen.evaluate.distribution.prdc import prdc, realism
from jaxgen.evaluate.distribution.vendi import vendi
from jaxgen.evaluate.figures import GROUPS, METRICS, Seen
from jaxgen.evaluate.result import jackknife_error

REAL, FAKE = (np.random.default_rng(i).normal(size=(n, 4)) + 0.2 * i for i, n in ((0, 70), (1, 60)))


def seen(rows):
    return Seen(len(rows), moments(rows), rows, sums(rows))


@pytest.fixture(scope="module")
def found():
    """Every figure of the metrics that 60 images are enough for."""
    of = {name: metric for name, metric in METRICS.items() if metric.fewest <= 60}
    assert set(METRICS) - set(of) == {"fd_infinity"}
    return {result.name: result for metric in of.values() for result in metric.figures(seen(REAL), seen(FAKE))}


def test_figures_are_those_of_the_functions(found):
    """Breaks if real and generated images change places, or a figure stands under the name of another one."""
    expected = {
        "FD": frechet(moments(FAKE), moments(REAL)),
        "KID_full": kid_full(REAL, FAKE).value,
        "MMD": cmmd(REAL, FAKE).value,
        **prdc(REAL, FAKE, 5)._asdict(),
        "improved_precision": prdc(REAL, FAKE, 3).precision,
        "improved_recall": prdc(REAL, FAKE, 3).recall,
        "realism_median": np.median(realism(REAL, FAKE)),
        "nearest_train_median": proximity(FAKE, REAL).median,
        "copies": 0,
        "Vendi": vendi(FAKE),
        "Vendi_inf": vendi(FAKE, np.inf),
        "IS": inception_score(FAKE).mean,
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-9), name
    assert found["recall"].n == 70 and found["precision"].n == 60 == found["FD"].n
    assert all(result.definition for result in found.values())


def test_the_error_of_a_frechet_distance_is_the_jackknife_of_its_definition(found):
    """Taking moments of a group away from those of all must be the same as never having added them."""
    expected = jackknife_error(lambda rows: frechet(moments(rows), moments(REAL)), FAKE, GROUPS)
    assert found["FD"].error == pytest.approx(expected, rel=1e-6)
    few = METRICS["fd"].figures(seen(REAL), seen(FAKE[:30]))[0]
    assert few.error is None and "jackknife" not in few.definition


def test_a_distance_of_infinitely_many_is_taken_of_five_thousand_and_more():
    """Breaks if the extrapolation is of other numbers than those that its definition says."""
    fake = np.random.default_rng(2).normal(size=(5100, 4))
    (result,) = METRICS["fd_infinity"].figures(seen(REAL), seen(fake))
    assert "from 5,000 on" in result.definition and result.error is not None and result.n == 5100
    assert result.value < frechet(moments(fake), moments(REAL)) + 0.05
