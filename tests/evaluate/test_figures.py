"""If these fail, a figure is not the metric that it names, or its error not its error."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.distribution.frechet_error import floor, influence, standard_error
from jaxgen.evaluate.distribution.inception_score import inception_score, sums
from jaxgen.evaluate.distribution.kernel import cmmd, kid, kid_full
from jaxgen.evaluate.distribution.neighbours import proximity
from jaxgen.evaluate.distribution.prdc import prdc, realism
from jaxgen.evaluate.distribution.vendi import vendi
from jaxgen.evaluate.figures import METRICS, Seen
from jaxgen.evaluate.neighbourhood import Neighbourhood

REAL, FAKE = (np.random.default_rng(i).normal(size=(n, 4)) + 0.2 * i for i, n in ((0, 70), (1, 60)))


def seen(rows):
    return Seen(len(rows), moments(rows), rows, sums(rows))


def figures(name, real, fake):
    """What a metric finds of rows [n, d]."""
    return METRICS[name].figures(seen(real), seen(fake), Neighbourhood(real, fake))


pytestmark = pytest.mark.filterwarnings("ignore:the Fréchet distance of")


@pytest.fixture(scope="module")
def found():
    """Every figure of the metrics that 60 images are enough for."""
    of = {name: metric for name, metric in METRICS.items() if metric.fewest <= 60}
    assert set(METRICS) - set(of) == {"fd_infinity"}
    return {result.name: result for name in of for result in figures(name, REAL, FAKE)}


def test_figures_are_those_of_the_functions(found):
    """Breaks if real and generated images change places, or a figure stands under the name of another one."""
    expected = {
        "FD": frechet(moments(FAKE), moments(REAL)),
        "KID": kid(FAKE, REAL, size=60).mean,  # the order of torch-fidelity, whose seed draws of the first set first
        "KID_full": kid_full(FAKE, REAL).value,
        "MMD": cmmd(REAL, FAKE).value,
        **prdc(REAL, FAKE, 5)._asdict(),
        "improved_precision": prdc(REAL, FAKE, 3).precision,
        "improved_recall": prdc(REAL, FAKE, 3).recall,
        "realism_median": np.median(realism(REAL, FAKE)),
        "nearest_real_median": proximity(FAKE, REAL).median,
        "copies": 0,
        "Vendi": vendi(FAKE),
        "Vendi_inf": vendi(FAKE, np.inf),
        "IS": inception_score(FAKE).mean,
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-9), name
    assert found["recall"].n == 70 and found["precision"].n == 60 == found["FD"].n
    assert all(result.definition for result in found.values())


def test_every_figure_says_how_sure_it_is(found):
    """A number without its error is compared as if it had none; a count of these very samples has none."""
    without = {name for name, result in found.items() if result.error is None or not result.error >= 0}
    assert without == {"copies"}


def test_a_frechet_distance_of_moments_alone_has_no_error(found):
    """Of a file of statistics there are no samples to tell it from, which is no reason to refuse the distance."""
    psi = influence(FAKE, moments(FAKE), moments(REAL))
    assert found["FD"].error == pytest.approx(standard_error(psi)) and "±" in found["FD"].definition
    sides = Seen(0, moments(REAL)), Seen(0, moments(FAKE))
    (alone,) = METRICS["fd"].figures(*sides, Neighbourhood(None, None))
    assert alone.value == found["FD"].value and alone.error is None and "±" not in alone.definition


def test_few_samples_are_warned_of_with_their_bias():
    """FID of a thousand samples is printed beside the one of fifty thousand in a paper."""
    with pytest.warns(UserWarning, match=f"60 samples.* about the {floor(moments(REAL), 60):.3g} that"):
        figures("fd", REAL, FAKE)
    with pytest.warns(UserWarning, match="no more features than their 4 dimensions"):
        (few,) = figures("fd", REAL, FAKE[:4])
    assert "far too large, as there are no more images than features" in few.definition


def test_a_distance_of_infinitely_many_is_taken_of_five_thousand_and_more():
    """Breaks if the extrapolation is of other numbers than those that its definition says."""
    fake = np.random.default_rng(2).normal(size=(5100, 4))
    (result,) = figures("fd_infinity", REAL, fake)
    assert "from 5,000 on" in result.definition and result.error is not None and result.n == 5100
    assert result.value < frechet(moments(fake), moments(REAL)) + 0.05
