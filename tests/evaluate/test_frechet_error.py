"""If these fail, the error printed beside a Frechet distance says nothing about how far a new run would move it."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution import blocks
from jaxgen.evaluate.distribution.frechet import frechet, merge, moments
from jaxgen.evaluate.distribution.frechet_error import floor, influence, standard_error

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(64, 64)) / 30


@pytest.mark.parametrize(("n", "d"), [(300, 6), (9, 20)])
def test_the_influence_of_a_sample_is_what_the_distance_loses_without_it(n, d, monkeypatch):
    """n psi_i is the derivative of the distance by the weight of sample i, where S has full rank and where it has not:
    from the moments of samples that count 1 +- 1e-5 times."""
    x, b = RNG.normal(size=(n, d)) * np.linspace(1, 2, d), moments(RNG.normal(size=(400, d)) + 0.3)
    a = moments(x)
    monkeypatch.setattr(blocks, "BLOCK", 100)
    psi = influence(x, a, b)
    for i in (0, n - 1):

        def weighted(w, i=i):
            one = moments(x[i : i + 1])
            more = merge(a, one._replace(n=w * one.n, s=w * one.s, c=w * one.c))
            scale = n / more.n  # back to weights that add up to n
            return frechet(more._replace(n=np.float64(n), s=scale * more.s, c=scale * more.c), b)

        slope = (weighted(1e-5) - weighted(-1e-5)) / 2e-5
        # S has n - 1 below its sum, which the weights leave: psi about the mean of what 1 / (n - 1) makes of 1 / n
        c = np.square(x[i] - x.mean(0)).sum() - np.square(x - x.mean(0)).sum(1).mean()
        assert slope * n == pytest.approx(psi[i], rel=3 / n, abs=3 / n * abs(c))


def test_the_error_covers_the_spread_of_fresh_samples():
    """On the small side it would call noise a gain; more than twice too large it would be of no use."""
    reference = moments(RNG.normal(size=(1437, 64)) @ MIX)
    fresh = [RNG.normal(size=(200, 64)) @ MIX for _ in range(60)]
    spread = np.std([frechet(moments(x), reference) for x in fresh], ddof=1)
    errors = [standard_error(influence(x, moments(x), reference)) for x in fresh[:20]]
    assert spread < np.mean(errors) < 2 * spread


def test_the_floor_is_the_distance_of_perfect_samples():
    """The bias that a warning gives in numbers."""
    reference = moments(RNG.normal(size=(100_000, 64)) @ MIX)
    found = [frechet(moments(RNG.normal(size=(500, 64)) @ MIX), reference) for _ in range(20)]
    assert floor(reference, 500) == pytest.approx(np.mean(found), rel=0.05)
