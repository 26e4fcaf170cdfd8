"""If these fail, a CLIPScore or an R-precision is not what papers mean by it."""

import jax
import numpy as np
import pytest

from jaxgen.evaluate.text_image import (
    candidates,
    clip_percent,
    clip_percent_of_mean,
    clip_score,
    cosines,
    figures,
    r_precision,
    ranks,
    ref_clip_score,
)


@pytest.fixture
def data(golden):
    found = golden("metrics/clip_scores")
    return found | {name: found[name].astype(np.float64) for name in ("image", "text", "ref_text")}


def test_every_variant_of_the_score_matches_its_reference(x64, jit, data):
    """They differ by factors and by where the negative cosines are cut off."""
    cosine = jit(cosines)(data["image"], data["text"])
    np.testing.assert_allclose(cosine, data["cos"], rtol=1e-9)
    score, percent, mean = jit(lambda c: (clip_score(c), clip_percent(c), clip_percent_of_mean(c)))(cosine)
    np.testing.assert_allclose(score, data["clipscore_w2.5"], rtol=1e-9)
    np.testing.assert_allclose(mean, data["clipscore_tm_mean_100"], rtol=1e-9)
    np.testing.assert_allclose(np.mean(percent), data["clipscore_mean_of_clipped_100"], rtol=1e-9)
    assert (np.asarray(cosine) < 0).any()


def test_references_enter_by_the_closest_one(x64, jit, data):
    """The harmonic mean is 0 where the image or all references point away."""
    score = jit(ref_clip_score)
    np.testing.assert_allclose(score(data["image"], data["text"], data["ref_text"]), data["refclipscore"], rtol=1e-9)
    assert (np.asarray(score(data["image"], -data["image"], data["ref_text"])) == 0).all()
    with pytest.raises(ValueError, match=r"references \[B, R, d\] of texts"):
        ref_clip_score(data["image"], data["text"], data["ref_text"][:, 0])


def test_ranks_among_the_kept_candidates_match_the_reference(jit, data):
    """Shows the true text counted against itself, or texts looked up for the wrong image."""
    rank = jit(ranks)
    found = rank(data["image"], data["text"], data["rprec_candidates"])
    np.testing.assert_array_equal(found, data["rprec_rank"])
    for k in (1, 3, 5, 10):
        assert r_precision(found, 1, k).mean == pytest.approx(float(data[f"rprec_top{k}"]), abs=1e-12)
    n = len(data["image"])
    every = np.stack([np.roll(np.arange(n), -i) for i in range(n)])
    assert r_precision(rank(data["image"], data["text"], every)).mean == pytest.approx(float(data["recall_i2t_at1"]))
    assert r_precision(rank(data["text"], data["image"], every)).mean == pytest.approx(float(data["recall_t2i_at1"]))


def test_folds_are_consecutive_and_whole():
    """AttnGAN's deviation is over ten parts; one that loses the rest would not be of all images."""
    among = np.repeat([0, 3, 0, 0], [10, 10, 5, 5])
    assert r_precision(among, 3) == pytest.approx((2 / 3, np.std([1, 0, 1])))
    assert r_precision(among, 3, k=4).std == 0
    assert r_precision(np.array([0, 0, 1, 0, 0]), 2).mean == pytest.approx((1 + 2 / 3) / 2)
    with pytest.raises(ValueError, match="folds of ranks"):
        r_precision(among, 31)


def test_candidates_are_other_texts_and_the_same_every_time():
    """A text among its own candidates is a loss by chance; lists that change make figures that do."""
    texts = [f"text {i % 30}" for i in range(60)]
    drawn = candidates(texts, 20)
    np.testing.assert_array_equal(drawn[:, 0], np.arange(60))
    for i, row in enumerate(drawn):
        assert len(set(row)) == 20
        assert texts[i] not in [texts[j] for j in row[1:]]
    np.testing.assert_array_equal(drawn, candidates(texts, 20))
    assert (drawn != candidates(texts, 20, seed=1)).any()
    assert len(np.unique(drawn[:, 1:])) == 60
    with pytest.raises(ValueError, match=r"needs 99 that differ from each, got 58 of 60 texts \(30 different ones\)"):
        candidates(texts)


def test_scores_can_be_losses(jit):
    """At equal, opposite and zero embeddings the gradient is a number, and it points towards the text."""
    text = np.array([[1.0, 0], [1, 0], [1, 0], [1, 0]])
    image = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 2]])
    gradient = jit(jax.grad(lambda x: clip_score(cosines(x, text)).sum()))(image)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[3], [0.625, 0], atol=1e-6)
    with pytest.raises(ValueError, match="one embedding of a text for each"):
        cosines(image, text[:3])


def test_figures_say_how_sure_they_are():
    """Mean, standard error with ddof 1, and what the number is."""
    plain, prefixed, among = np.array([0.2, 0.3, -0.1, 0.4]), np.array([0.2, 0.4, -0.1, 0.4]), np.array([0, 0, 2, 0])
    cosine, score, precision = figures(plain, prefixed, among, 100, protocol="a network")
    assert cosine.value == pytest.approx(0.2) and cosine.error == pytest.approx(np.std(plain, ddof=1) / 2)
    assert score.value == pytest.approx(2.5 * 0.25) and precision.value == 0.75
    assert "of 100" in precision.definition and {cosine.protocol, precision.protocol} == {"a network"}
