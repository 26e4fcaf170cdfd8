"""If these fail, an Inception Score is not the one others would compute from the same logits."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution.inception_score import inception_score


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("splits", [1, 5, 10])
def test_reference_values(golden, splits, shuffled):
    """503 samples: uneven splits, cut at i n / splits; the shuffled ones in torch-fidelity's order of seed 2020."""
    data = golden("inception_score")
    logits = data["logits"]
    logits = logits[np.random.RandomState(2020).permutation(len(logits))] if shuffled else logits
    found = inception_score(logits, splits)
    key = f"splits{splits}_shuffle{int(shuffled)}"
    assert found.mean == pytest.approx(float(data[f"is_mean_{key}"]), rel=1e-9)
    assert found.std == pytest.approx(float(data[f"is_std_{key}"]), rel=1e-9, abs=1e-12)


def test_sure_and_even_samples_score_the_number_of_classes():
    """Logits of a thousand: a probability that underflows must not become 0 log 0 = NaN."""
    assert inception_score(1000 * np.eye(7)).mean == pytest.approx(7, rel=1e-12)
    assert inception_score(1000 * np.eye(9)[:4]).mean == pytest.approx(4, rel=1e-12)
    assert inception_score(np.zeros((5, 3)) - 800).mean == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (np.zeros(4), 1, r"got shape \(4,\)"),
        (np.full((4, 3), np.nan), 1, "finite"),
        (np.zeros((4, 3)), 5, "must be 1 to 4, got 5"),
        (np.zeros((4, 3)), 0, "must be 1 to 4, got 0"),
    ],
)
def test_unusable_logits_are_refused(logits, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(logits, splits)
