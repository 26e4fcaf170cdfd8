"""If these fail, an FID against published statistics is not the one against the images behind them."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.stream.statistics import about, read, write

X, Y = (np.random.default_rng(seed).normal(size=(60, 5)) * np.arange(1, 6) + seed for seed in (0, 1))


def test_a_round_trip_keeps_every_digit_and_the_number_of_images(tmp_path):
    """Without n a covariance of few images is taken for one of full rank."""
    for x in (X, X[:4]):
        write(tmp_path / "stats.npz", {"features": moments(x), "spatial": moments(2 * x)}, "pixels")
        found = read(tmp_path / "stats.npz", "pixels")
        assert found.n == len(x)
        assert frechet(found, moments(Y)) == pytest.approx(frechet(moments(x), moments(Y)), rel=1e-12)
        spatial = read(tmp_path / "stats.npz", "pixels", "spatial")
        assert frechet(spatial, moments(Y)) == pytest.approx(frechet(moments(2 * x), moments(Y)), rel=1e-12)


def test_files_of_others(tmp_path):
    """TTUR and pytorch-fid: mu and sigma; score_sde: the features themselves."""
    expected = frechet(moments(X), moments(Y))
    np.savez(tmp_path / "a.npz", mu=X.mean(0), sigma=np.cov(X, rowvar=False))
    np.savez(tmp_path / "b.npz", pool_3=X.astype(np.float32))
    assert frechet(read(tmp_path / "a.npz", "any"), moments(Y)) == pytest.approx(expected, rel=1e-12)
    assert frechet(read(tmp_path / "b.npz", "any"), moments(Y)) == pytest.approx(expected, rel=1e-6)
    write(tmp_path / "c.npz", {"features": moments(X)}, "pixels")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["sigma"], np.cov(X, rowvar=False), rtol=1e-12)
        np.testing.assert_allclose(file["mu"], X.mean(0), rtol=1e-12)


def test_other_files_are_refused(tmp_path):
    """Statistics of other features, or of none, must not become a number."""
    path = tmp_path / "stats.npz"
    write(path, {"features": moments(X)}, "pixels")
    with pytest.raises(ValueError, match="are of pixels, but these are Inception"):
        read(path, "Inception")
    with pytest.raises(ValueError, match="mu_s and sigma_s in"):
        read(path, "pixels", "spatial")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="expected an .npz file"):
        read(path, "pixels")
    np.savez(path, mean=X.mean(0))
    with pytest.raises(ValueError, match="mu and sigma, or pool_3, in .* got mean"):
        read(path, "pixels")
    path.write_text("not a file of arrays")
    with pytest.raises(ValueError, match="expected an .npz file"):
        read(path, "pixels")


MEAN, SPREAD = X.mean(0), np.cov(X, rowvar=False)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"n": np.nan}, "whole number of at least 2 as n"),
        ({"n": 1}, "whole number of at least 2 as n"),
        ({"n": [60]}, "whole number of at least 2 as n"),
        ({"n": "sixty"}, "whole number of at least 2 as n"),
        ({"mu": MEAN.astype(str)}, "expected numbers as mu"),
        ({"sigma": -SPREAD}, "not symmetric with variances of at least 0"),
        ({"sigma": SPREAD + np.triu(SPREAD, 1)}, "not symmetric"),
        ({"sigma": np.full((5, 5), np.nan)}, "not symmetric"),
        ({"mu": MEAN + np.inf}, "finite"),
        ({"features": 3}, "a text as features"),
    ],
)
def test_numbers_that_are_no_statistics_are_refused(tmp_path, arrays, said):
    """A figure of them would look like any other."""
    np.savez(tmp_path / "x.npz", **{"mu": MEAN, "sigma": SPREAD} | arrays)
    with pytest.raises(ValueError, match=said):
        read(tmp_path / "x.npz", "pixels")


@pytest.mark.parametrize("name", ["n", "features", "mu", "sigma", "pool_3"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_header_that_lies_costs_no_memory(tmp_path, name, filled):
    """A file of a few bytes could take gigabytes, of numbers that are there, compressed, or only said to be."""
    lengths = {"sigma": (4000, 4000), "pool_3": (1, 1 << 24)}.get(name, (1 << 24,)) if filled else (10**13,)
    arrays = {"mu": MEAN, "sigma": SPREAD} | {name: np.broadcast_to(0.0, lengths)}
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for key, array in arrays.items():
            with file.open(f"{key}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "<f8", "fortran_order": False, "shape": array.shape}
                )
                member.write(np.ascontiguousarray(array).tobytes() if filled or key != name else bytes(8))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"x\.npz"):
        read(tmp_path / "x.npz", "pixels")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


def test_a_file_says_what_it_knows(tmp_path):
    """Breaks if statistics that do not say of which features they are, or of how many images, are taken to do so."""
    np.savez(tmp_path / "x.npz", mu=MEAN, sigma=SPREAD, mu_s=MEAN[:2], sigma_s=SPREAD[:2, :2])
    assert about(tmp_path / "x.npz") == (None, None, {"features": 5, "spatial": 2})
    write(tmp_path / "y.npz", {"features": moments(X)}, "pixels")
    assert about(tmp_path / "y.npz") == ("pixels", 60, {"features": 5})
    np.savez(tmp_path / "z.npz", pool_3=X)
    assert about(tmp_path / "z.npz") == (None, 60, {"features": 5})
