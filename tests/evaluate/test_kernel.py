"""If these fail, KID and CMMD are not those of the papers, or lose in float32 what they are made of."""

from contextlib import nullcontext

import jax
import numpy as np
import pytest

from jaxgen.evaluate.distribution import blocks
from jaxgen.evaluate.distribution.kernel import cmmd, cubic, discrepancy, gaussian, jackknife, kid, kid_full, table
from jaxgen.evaluate.distribution.scan import centre_of


@pytest.fixture(scope="module")
def data():
    with np.load("tests/golden/metrics/kid_cmmd.npz") as file:
        return dict(file)


def direct(k, x, y):
    """The unbiased MMD^2 from whole matrices of a kernel of products, in float64."""
    x, y = np.float64(x), np.float64(y)
    n, m = len(x), len(y)
    xx, yy, xy = k(x, x), k(y, y), k(x, y)
    return (xx.sum() - np.trace(xx)) / n / (n - 1) + (yy.sum() - np.trace(yy)) / m / (m - 1) - 2 * xy.mean()


@pytest.mark.parametrize(("wide", "tolerance"), [(False, 1e-6), (True, 1e-9)], ids=["float32", "float64"])
def test_reference_values(data, wide, tolerance):
    """Float32 sums of the kernel itself lose 1e-4 of KID and 7e-5 of CMMD, whose kernel is all but 1."""
    x, y = data["x"], data["y"]
    with jax.enable_x64(True) if wide else nullcontext():
        subsets = kid(x, y, subsets=12, size=60)
        assert subsets.mean == pytest.approx(float(data["torch_fidelity_seed2020_mean"]), rel=tolerance)
        assert subsets.std == pytest.approx(float(data["torch_fidelity_seed2020_std"]), rel=tolerance)
        assert kid_full(x, y).value == pytest.approx(float(data["poly_unbiased_full"]), rel=tolerance)
        whole = discrepancy(*table(x, y, cubic, centre_of(x, y)))
        assert whole.biased == pytest.approx(float(data["poly_biased_full"]), rel=tolerance)
        assert cmmd(x, y).value == pytest.approx(float(data["cmmd_float64"]), rel=tolerance)
        for kernel, key in ((cubic, "poly_mmd_per_subset"), (gaussian(10.0), "rbf_sigma10_per_subset")):
            parts = [(x[i], y[j]) for i, j in zip(data["subset_x"], data["subset_y"], strict=True)]
            found = [discrepancy(*table(a, b, kernel, centre_of(a, b))).unbiased for a, b in parts]
            np.testing.assert_allclose(found, data[key], rtol=tolerance)


def test_blocks_do_not_show(data, x64, monkeypatch):
    """Breaks if half a symmetric table is counted once, a padded row counts, or a row meets itself in another block."""
    x, y = data["x"][:70], data["y"][:50]
    whole = kid_full(x, y), cmmd(x, y)
    monkeypatch.setattr(blocks, "BLOCK", 24)
    parts = kid_full(x, y), cmmd(x, y)
    np.testing.assert_allclose(parts, whole, rtol=1e-10)


def test_the_jackknife_leaves_rows_out(data, x64):
    """The error from sums over rows is that of computing the figure again without each row."""
    x, y = data["x"][:12, :5], data["y"][:9, :5]

    def k(a, b):
        return (a @ b.T / 5 + 1) ** 3

    without = [
        [direct(k, np.delete(x, i, 0), y) for i in range(12)],
        [direct(k, x, np.delete(y, i, 0)) for i in range(9)],
    ]
    expected = sum((len(t) - 1) / len(t) * np.square(t - np.mean(t)).sum() for t in without) ** 0.5
    found = table(x, y, cubic, centre_of(x, y))
    assert discrepancy(*found).unbiased == pytest.approx(direct(k, x, y), rel=1e-9)
    assert jackknife(*found) == pytest.approx(expected, rel=1e-9)


def test_unusable_features_are_refused(data):
    x = data["x"]
    with pytest.raises(ValueError, match="subsets of 1000 need"):
        kid(x, x)
    with pytest.raises(ValueError, match="at least 2 features"):
        kid_full(x[:1], x)
    with pytest.raises(ValueError, match="finite"):
        kid_full(np.full((4, 3), np.nan), np.ones((4, 3)))
    with pytest.raises(ValueError, match="got 3 and 2"):
        kid_full(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="direction"):
        cmmd(np.zeros((4, 3)), np.ones((4, 3)))
