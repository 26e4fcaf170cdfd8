"""If these fail, a Fréchet distance in a report is not the one others would compute from the same features."""

import functools
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hashed import uniform

from jaxgen.evaluate.distribution.frechet import (
    covariance,
    frechet,
    frechet_of_features,
    from_statistics,
    merge,
    moments,
)

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


FEW = pytest.mark.filterwarnings("ignore:a Fréchet distance of no more features")


@pytest.fixture
def case(golden):
    data = golden("frechet")
    return lambda name: {key: data[f"{name}/{key}"] for key in ("x", "y", "fd", "mean_term", "tr1", "tr2")}


@FEW
@pytest.mark.parametrize("name", CASES)
def test_float64_matches_the_nuclear_norm_of_centred_features(case, name):
    """Jitter, a threshold on eigenvalues or a matrix square root each miss one of the nine cases."""
    c = case(name)
    scale = c["mean_term"] + c["tr1"] + c["tr2"]
    assert frechet(moments(c["x"]), moments(c["y"])) == pytest.approx(c["fd"], rel=1e-9, abs=1e-14 * scale)


@FEW
@pytest.mark.parametrize("name", CASES)
def test_float32_features_on_the_device_lose_at_most_1e_6(case, name):
    """The sandwich form errs by 1e-3 here, uncentred float32 sums by more at a mean of 100."""
    c = case(name)
    value = frechet(moments(jnp.asarray(c["x"])), moments(jnp.asarray(c["y"])))
    assert value == pytest.approx(c["fd"], rel=1e-6, abs=1e-14 * (c["tr1"] + c["tr2"]))


@FEW
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


@FEW
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
    with pytest.raises(ValueError, match="finite"):
        from_statistics(np.ones(2), np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"got \(1, 3\)"):
        frechet_of_features(jnp.ones((1, 3)), jnp.ones((4, 3)))


@pytest.mark.parametrize("name", CASES)
def test_the_function_of_arrays_keeps_1e_6_in_float32(case, jit, name):
    """Traces that cancel lose 1e-5 of the distance here, the mean of features at 100 taken at once another 1e-6."""
    c = case(name)
    value = float(jit(frechet_of_features)(jnp.asarray(c["x"]), jnp.asarray(c["y"])))
    assert value == pytest.approx(c["fd"], rel=1e-6, abs=1e-11 * (c["tr1"] + c["tr2"]))


@pytest.mark.parametrize(("n", "m"), [(9, 12), (3, 4)])
def test_its_gradient_is_that_of_the_distance(x64, n, m):
    """Breaks if the envelope does not hold: a basis that does not span the features, a turn that is differentiated."""
    rng = np.random.default_rng(0)
    x, y, v = (rng.normal(size=(count, 5)) for count in (n, m, n))
    value, gradient = jax.jit(jax.value_and_grad(frechet_of_features))(x, y)
    with pytest.warns() if n <= 5 else nullcontext():
        assert float(value) == pytest.approx(frechet(moments(x), moments(y)))
        slope = (frechet(moments(x + 1e-5 * v), moments(y)) - frechet(moments(x - 1e-5 * v), moments(y))) / 2e-5
    assert np.sum(v * gradient) == pytest.approx(slope, rel=1e-6)


def test_its_gradient_at_equal_features_is_zero(jit):
    """The derivative of a singular value decomposition is NaN there."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
    np.testing.assert_allclose(jit(jax.grad(frechet_of_features))(x, x), 0, atol=1e-5)


@pytest.fixture(scope="module")
def recipe():
    """Features [n, 2048] from a case's name, as the golden file has them."""

    def features(name, n):
        a = uniform(f"golden/{name}/a", n * 2048).reshape(n, 2048) * (1 + np.arange(2048) % 7) / 7
        b = np.repeat(uniform(f"golden/{name}/b", n * 256).reshape(n, 256), 8, 1)
        return (a + 0.5 * b).astype(np.float32)

    return lambda case, n, m: (features(f"{case}/x", n), np.float32(1.02 * features(f"{case}/y", m) + np.float32(0.01)))


def test_thousands_of_features_of_2048_dimensions(golden, recipe):
    """What an FID is made of. Breaks if moments or the trace of a root lose digits with the dimension."""
    data = golden("metrics/frechet_d2048_recipe")
    x, y = recipe("full", 2600, 2400)
    np.testing.assert_array_equal(x[0, :16], data["full/x_row0_first16"])
    assert y.sum(dtype=np.float64) == pytest.approx(float(data["full/y_sum"]), rel=1e-12)
    one, other = (moments(side.astype(np.float64)) for side in (x, y))
    assert frechet(one, other) == pytest.approx(float(data["full/fd"]), rel=1e-9)


def test_two_hundred_features_of_2048_dimensions(golden, recipe):
    """The published codes miss this by 1e-5; a factor of the wrong rank, or one from float32 eigenvalues, by more."""
    data = golden("metrics/frechet_d2048_recipe")
    x, y = recipe("deficient", 200, 150)
    np.testing.assert_array_equal(x[0, :16], data["deficient/x_row0_first16"])
    expected = pytest.approx(float(data["deficient/fd"]), rel=1e-6)
    assert float(frechet_of_features(jnp.asarray(x), jnp.asarray(y))) == expected
    with pytest.warns(UserWarning, match="no more features than their 2048 dimensions"):
        assert frechet(moments(x), moments(y)) == expected
