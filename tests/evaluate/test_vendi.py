"""If these fail, the Vendi score counts something else than different samples."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution import blocks
from jaxgen.evaluate.distribution.vendi import vendi, vendi_error


@pytest.mark.parametrize("q", [0.5, 1, 2, np.inf])
def test_reference_values(golden, q):
    """The published package ignores q; blocks of rows must add up to the same."""
    data = golden("metrics/vendi")
    assert vendi(data["x"], q) == pytest.approx(float(data[f"vendi_q{q:g}"]), rel=1e-9)


def test_the_smaller_matrix_and_blocks_give_the_same(golden, monkeypatch):
    """X X^T of few rows and X^T X of many have one spectrum: zeros appended to the rows choose the other one."""
    x = golden("metrics/vendi")["x"]
    wide = np.pad(x, ((0, 0), (0, 200)))
    expected = vendi(x, 0.5)
    monkeypatch.setattr(blocks, "BLOCK", 50)
    assert vendi(x, 0.5) == pytest.approx(expected, rel=1e-9)
    assert vendi(wide, 0.5) == pytest.approx(expected, rel=1e-9)


def test_what_can_be_counted_is_counted():
    """Orthogonal samples are all different, copies are one; at q = 0 a rare one counts as much as a common one."""
    assert vendi(3 * np.eye(7)) == pytest.approx(7)
    assert vendi(np.ones((9, 4)), 2) == pytest.approx(1)
    assert vendi(np.eye(3)[[0] * 90 + [1] * 9 + [2]], 0) == pytest.approx(3)


@pytest.mark.parametrize(
    ("n", "d", "q"), [(300, 20, 0.5), (300, 20, 1), (300, 20, 2), (300, 20, np.inf), (90, 100, 1), (90, 100, np.inf)]
)
def test_the_error_is_what_fresh_samples_scatter_by(n, d, q):
    """Of both forms; of samples as few as dimensions it is on the small side, as it is of the first order."""
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(n, d)) / np.sqrt(np.arange(1, d + 1)) for _ in range(80)]
    spread = np.std([vendi(x, q) for x in sets], ddof=1)
    assert 0.6 * spread < np.mean([vendi_error(x, q) for x in sets[:20]]) < 1.4 * spread


@pytest.mark.parametrize(
    ("x", "q", "message"), [(np.zeros((4, 3)), 1, "direction"), (np.eye(3), -1, "0 or more"), (np.ones(3), 1, "shape")]
)
def test_unusable_input_is_refused(x, q, message):
    with pytest.raises(ValueError, match=message):
        vendi(x, q)
