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
    per_image,
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


def test_embeddings_that_tell_nothing_apart_have_no_precision(jit):
    """A network that failed on all images would have the best R-precision there is."""
    rng = np.random.default_rng(0)
    texts, every = rng.normal(size=(6, 8)), np.stack([np.roll(np.arange(6), -i) for i in range(6)])
    for images in (np.zeros((6, 8)), np.full((6, 8), np.nan)):
        np.testing.assert_array_equal(jit(ranks)(images, texts, every), 5)
    np.testing.assert_array_equal(ranks(np.zeros((6, 8)), texts, every), 5)
    np.testing.assert_array_equal(ranks(texts, np.repeat(texts[:3], 2, 0), every)[::2] > 0, True)
    one = texts.copy()
    one[4, 2] = np.inf
    with pytest.raises(ValueError, match="1 of 6 images are not finite, the first of row 4"):
        ranks(one, texts, every)
    with pytest.raises(ValueError, match="of 6 texts are not finite"):
        ranks(texts, one, every)


def test_candidates_of_no_text_are_refused(jit):
    """JAX clamps what lies outside: another text would be the candidate, and nobody would know."""
    texts = np.random.default_rng(0).normal(size=(4, 8))
    for wrong in (4, -1):
        among = np.array([[0, 1], [1, 2], [2, wrong], [3, 0]])
        with pytest.raises(ValueError, match="numbers of the 4 texts"):
            ranks(texts, texts, among)
        assert jit(ranks)(texts, texts, among).tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("size", [1e-15, 1e-9, 1.0, 1e25, 1e37])
def test_the_length_of_an_embedding_is_of_no_matter(size):
    """Squares of float32 overflow from 1e19 on and vanish below 1e-19: the cosine would be 0."""
    x, y = np.array([[3.0, 4.0]], np.float32), np.array([[4.0, 3.0]], np.float32)
    assert float(cosines(np.float32(size) * x / 4, y)[0]) == pytest.approx(0.96, rel=1e-6)


def test_figures_say_how_sure_they_are():
    """Mean, standard error with ddof 1, and what the number is."""
    plain, prefixed, among = np.array([0.2, 0.3, -0.1, 0.4]), np.array([0.2, 0.4, -0.1, 0.4]), np.array([0, 0, 2, 0])
    columns = per_image(plain, prefixed, among, referenced=np.array([0.1, 0.2, 0.3, 0.4]))
    found = {result.name: result for result in figures(columns, 100, protocol="a network")}
    cosine, score, precision = (found[name] for name in ("CLIP cosine", "CLIPScore", "R-precision"))
    assert cosine.value == pytest.approx(0.2) and cosine.error == pytest.approx(np.std(plain, ddof=1) / 2)
    assert score.value == pytest.approx(2.5 * 0.25) and precision.value == 0.75
    assert "of 100" in precision.definition and {result.protocol for result in found.values()} == {"a network"}
    assert found["CLIP percent"].value == pytest.approx(22.5) and found["RefCLIPScore"].value == pytest.approx(0.25)
    mean = found["CLIP percent of the mean"]
    assert mean.value == pytest.approx(20, rel=1e-6) and mean.error == pytest.approx(100 * cosine.error)


def test_a_score_of_another_network_has_another_name():
    """CLIPScore is of ViT-B/32: of L/14 it is lower by a third."""
    x = np.array([0.1, 0.2])
    assert {"CLIPScore-L/14", "RefCLIPScore-L/14"} < {*per_image(x, x, np.zeros(2), x, "CLIP-L/14")}
    assert "CLIPScore" in per_image(x, x, np.zeros(2), network="CLIP-B/32")
    assert "CLIPScore-unknown network" in per_image(x, x, np.zeros(2), network="")
    found = figures(per_image(x, x, np.zeros(2), x, "CLIP-L/14"), 2)
    assert "harmonic" in found[-1].definition and found[-1].name == "RefCLIPScore-L/14"
