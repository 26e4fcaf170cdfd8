"""If these fail, a Fréchet distance in a report is not the one others would compute from the same features."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.frechet import covariance, frechet, from_statistics, merge, moments

CASES = (
    "full",
    "relu",
    "rank_deficient",
    "rank_deficient_one",
    "same",
    "collapsed",
    "big_mean",
    "n2",
    "tiny_scale",
)


@pytest.fixture
def case(golden):
    data = golden("frechet")
    return lambda name: {key: data[f"{name}/{key}"] for key in ("x", "y", "fd", "mean_term", "tr1", "tr2")}


@pytest.mark.parametrize("name", CASES)
def test_float64_matches_the_nuclear_norm_of_centred_features(case, name):
    """Jitter, a threshold on eigenvalues or a matrix square root each miss one of the nine cases."""
    c = case(name)
    scale = c["mean_term"] + c["tr1"] + c["tr2"]
    assert frechet(moments(c["x"]), moments(c["y"])) == pytest.approx(c["fd"], rel=1e-9, abs=1e-14 * scale)


@pytest.mark.parametrize("name", CASES)
def test_float32_features_on_the_device_lose_at_most_1e_6(case, name):
    """The sandwich form errs by 1e-3 here, uncentred float32 sums by more at a mean of 100."""
    c = case(name)
    value = frechet(moments(jnp.asarray(c["x"])), moments(jnp.asarray(c["y"])))
    assert value == pytest.approx(c["fd"], rel=1e-6, abs=1e-14 * (c["tr1"] + c["tr2"]))


@pytest.mark.parametrize("name", ["full", "big_mean", "rank_deficient"])
def test_moments_stored_in_float32_stay_within_1e_6(case, name):
    """What a float32 checkpoint of the moments may cost; the shift is what saves features with a large mean."""
    c = case(name)
    rounded = [
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), moments(jnp.asarray(c[key]))) for key in ("x", "y")
    ]
    assert frechet(*rounded) == pytest.approx(c["fd"], rel=1e-6)


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray], ids=["host", "device"])
def test_streamed_batches_and_merged_parts_equal_one_pass(convert):
    """Batches of any size, in any tree of merges, drifting far from the first batch's mean, lose nothing."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(1001, 12)) @ rng.normal(size=(12, 12)) + np.linspace(90, 110, 1001)[:, None]).astype("f4")
    whole = moments(x.astype(np.float64))
    parts = [moments(convert(part)) for part in np.split(x, [1, 2, 300, 550, 1000])]
    left = functools.reduce(merge, parts)
    tree = merge(merge(parts[3], parts[0]), merge(merge(parts[5], parts[2]), merge(parts[1], parts[4])))
    for m in (left, tree):
        assert m.n == 1001
        np.testing.assert_allclose(m.shift + m.s / m.n, x.astype(np.float64).mean(0), rtol=1e-7)
        np.testing.assert_allclose(covariance(m), covariance(whole), rtol=1e-6, atol=1e-6 * covariance(whole).max())


def test_published_statistics_stand_for_the_features(case):
    """mu and sigma files are read as they are; without n a rank-deficient covariance still counts whole."""
    c = case("rank_deficient")
    mean, s = c["x"].astype(np.float64).mean(0), np.cov(c["x"].astype(np.float64).T)
    for n in (len(c["x"]), None):
        value = frechet(from_statistics(mean, s, n), moments(c["y"]))
        assert value == pytest.approx(c["fd"], rel=1e-6)


def test_a_shift_of_identical_features_counts_squared():
    """d^2, not d: Gaussians that differ by a mean of (3, 4) are 25 apart."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    assert frechet(moments(x), moments(x + [3, 4])) == pytest.approx(25)


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros((0, 3)), np.zeros((2, 2, 2)), np.full((4, 3), np.nan)])
def test_unusable_features_are_refused(bad):
    """A NaN batch or unflattened images would otherwise become a plausible number."""
    with pytest.raises(ValueError, match="features must be"):
        moments(bad)
    with pytest.raises(ValueError, match="features must be"):
        moments(jnp.asarray(bad))


def test_one_feature_or_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="at least 2 features, got 1"):
        frechet(moments(np.ones((1, 3))), moments(np.ones((4, 3))))
    with pytest.raises(ValueError, match="got 3 and 2"):
        frechet(moments(np.ones((4, 3))), moments(np.ones((4, 2))))
    with pytest.raises(ValueError, match="covariance"):
        from_statistics(np.ones(3), np.ones((2, 2)))
