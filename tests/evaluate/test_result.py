"""If these fail, the error printed beside a figure says nothing about how far a new run would move it."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.result import jackknife_error


def test_the_error_of_a_mean_is_that_of_the_group_means():
    """For a mean the jackknife has a closed form: the standard error of G equal groups' own means."""
    x = np.random.default_rng(1).normal(size=60)
    group = np.random.default_rng(0).permutation(60) % 20
    means = np.array([x[group == g].mean() for g in range(20)])
    assert jackknife_error(np.mean, x) == pytest.approx(means.std(ddof=1) / 20**0.5, rel=1e-12)


def test_samples_in_class_order_give_the_error_of_shuffled_ones():
    """Groups cut along the order would each hold one class and make the error several times too large."""
    rng = np.random.default_rng(2)
    ordered = np.repeat(np.arange(20.0), 50) + 0.1 * rng.normal(size=1000)
    assert jackknife_error(np.mean, ordered) == pytest.approx(ordered.std(ddof=1) / 1000**0.5, rel=0.4)


def test_the_error_of_a_frechet_distance_covers_the_spread_of_fresh_samples():
    """On the small side it would call noise a gain; more than twice too large it would be of no use."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(64, 64)) / 30
    reference = moments(rng.normal(size=(1437, 64)) @ mix)

    def distance(x: np.ndarray) -> float:
        return frechet(moments(x), reference)

    fresh = [rng.normal(size=(200, 64)) @ mix for _ in range(60)]
    spread = np.std([distance(x) for x in fresh], ddof=1)
    assert spread < np.mean([jackknife_error(distance, x) for x in fresh[:8]]) < 2 * spread


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="at least 40 samples, got 39"):
        jackknife_error(np.mean, np.zeros(39))
