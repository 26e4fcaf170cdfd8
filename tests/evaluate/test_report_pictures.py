"""If these fail, a report shows other images, numbers or neighbours than those that were measured."""

import json

import numpy as np
import pytest

from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.distribution.prdc import prdc
from jaxgen.evaluate.neighbourhood import Neighbourhood
from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.pictures.classes import classwise, distance, renumbered
from jaxgen.evaluate.pictures.comparison import comparison
from jaxgen.evaluate.pictures.distributions import components
from jaxgen.evaluate.pictures.history import history
from jaxgen.evaluate.pictures.neighbours import relative
from jaxgen.evaluate.pictures.picture import digits, tile, tiles
from jaxgen.evaluate.pictures.samples import sample_pictures
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream.sides import Side

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (40, 2, 4, 3), np.uint8)
FAKE = RNG.integers(0, 256, (32, 2, 4, 3), np.uint8)
FAKE[7] = REAL[23]  # a copy
FAKE[9] = np.clip(REAL[31].astype(int) + 3, 0, 255)  # nearly one
LABELS = {"fake": RNG.integers(0, 3, 32), "real": RNG.integers(0, 3, 40)}
X, Y = (images.reshape(len(images), -1) / 255 for images in (FAKE, REAL))


@pytest.fixture(scope="module")
def shown():
    """The pictures of these sets by title."""
    fake = Side("made", FAKE, LABELS["fake"])
    real = Side("kept", REAL, LABELS["real"], ("ant", "bee", "cow"), [f"{i}.png" for i in range(40)])
    return {picture.title: picture for picture in comparison(fake, real, Neighbourhood(Y, X), "raw pixels")}


def test_copies_come_first_with_what_they_are_copies_of(shown):
    """A copy that is not on top, or beside another image, is not found by who looks for it."""
    picture = shown["Samples most like copies, by raw pixels"]
    assert [row[0].split(" · ")[1] for row in picture.image.notes][:2] == ["#7", "#9"]
    assert picture.image.notes[0][:2] == ["0.00 · #7", "0 · 23.png"]
    np.testing.assert_array_equal(picture.image.tiles[0, 0], picture.image.tiles[0, 1])
    np.testing.assert_array_equal(picture.image.tiles[1, 1], tiles([REAL[31]])[0])
    ratio = [
        np.sort(np.linalg.norm(x - Y, axis=1))[0]
        / np.sort(np.linalg.norm(Y - Y[np.linalg.norm(x - Y, axis=1).argmin()], axis=1))[1]
        for x in X
    ]
    assert (
        f"copies (0): 1; closer to a real image than any other real image is (below 1): {np.sum(np.array(ratio) < 1)},"
        in picture.caption
    )
    assert [row[0].split()[0] for row in picture.image.notes] == [f"{r:.2f}" for r in sorted(ratio)[:12]]


def test_a_copy_of_an_image_that_is_there_twice_is_one():
    """0 / 0 must not hide it, and a sample near such an image is no copy."""
    squared, index = np.array([[0.0], [4.0], [4.0]]), np.array([[0], [0], [1]])
    np.testing.assert_array_equal(relative(squared, index, np.array([0.0, 16.0])), [0, np.inf, 0.5])


def test_realism_sorts_the_samples(shown):
    """The worst shown as the best, or numbers of other samples."""
    best, worst = (
        np.array([float(note) for note in sum(shown[f"{which} realistic in raw pixels"].image.notes, [])])
        for which in ("Most", "Least")
    )
    assert (np.diff(best) <= 0).all() and (np.diff(worst) >= 0).all() and best[-1] >= worst[-1] and best[0] > 100
    np.testing.assert_array_equal(shown["Most realistic in raw pixels"].image.tiles[0, 0], tiles([FAKE[7]])[0])


@pytest.mark.filterwarnings("ignore:a Fréchet distance of no more")
def test_classes_add_up_to_the_figures_of_the_whole(shown):
    """The table would blame the wrong class."""
    table = shown["Classes in raw pixels"].image
    assert table.rows == ["ant", "bee", "cow"]
    columns = {
        name: np.array(column) for name, column in zip(table.columns, zip(*table.values, strict=True), strict=True)
    }
    whole = prdc(Y, X, 5)
    for name, by in (
        ("precision", "samples"),
        ("density", "samples"),
        ("recall", "real images"),
        ("coverage", "real images"),
    ):
        assert np.average(columns[name], weights=columns[by]) == pytest.approx(getattr(whole, name), abs=1e-12)
    nearest = np.linalg.norm(X[:, None] - Y, axis=2).argmin(1)
    for label in range(3):
        mine = LABELS["fake"] == label
        assert columns["own class"][label] == pytest.approx((LABELS["real"][nearest[mine]] == label).mean())
        direct = frechet(moments(X[mine]), moments(Y[LABELS["real"] == label]))
        assert columns["Fréchet distance"][label] == pytest.approx(direct, rel=1e-9)


def test_classes_are_matched_by_name():
    """Two folders that number their classes differently: cats would be compared with dogs."""
    labels = np.array([0, 1, 2, 1])
    np.testing.assert_array_equal(renumbered(labels, ("ant", "cat", "dog"), ("cat", "dog")), [-1, 0, 1, 0])
    np.testing.assert_array_equal(renumbered(labels, (), ("cat", "dog", "emu")), labels)


@pytest.mark.filterwarnings("ignore:a Fréchet distance of no more")
def test_the_distance_of_few_images_of_many_dimensions_is_that_of_all_dimensions():
    """Seen in the space of the images alone, the distance of a class must not change."""
    a, b = RNG.normal(size=(9, 60)), RNG.normal(1, 2, (12, 60))
    assert distance(a, b) == pytest.approx(frechet(moments(a), moments(b)), rel=1e-9)
    assert distance(a[:1], b) is None


def test_classes_read_in_parts_are_the_same(monkeypatch):
    """With more features than memory is meant for, a class would lack some of its rows."""
    whole = list(classwise(Y, LABELS["real"], np.arange(3)))
    monkeypatch.setattr("jaxgen.evaluate.pictures.classes.BYTES", 8 * Y.shape[1] * 15)
    for part, same in zip(classwise(Y, LABELS["real"], np.arange(3)), whole, strict=True):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("shape", [(30, 6), (6, 30)])
def test_components_are_those_of_the_singular_values(shape):
    """The chart would show another plane than that of the most variance, or a wrong share."""
    x = RNG.normal(size=shape) * np.linspace(3, 1, shape[1])
    places, share = components(x)
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(u[:, :2] * s[:2]), atol=1e-9)
    np.testing.assert_allclose(share, s[:2] ** 2 / (s**2).sum(), rtol=1e-9)


def test_history_joins_only_figures_that_agree(tmp_path):
    """A curve through numbers of other networks or sample counts says nothing, and a broken file must not end it."""

    def figure(value, **kind):
        return Result("FID", value, "", 100, 0.5, protocol="net", **kind)

    report(tmp_path / "20", "x", [figure(3.0)])
    report(tmp_path / "5", "x", [figure(9.0)])
    report(tmp_path / "10", "x", [figure(1.0, weights="others")])
    report(tmp_path / "12", "x", [figure(1.0)._replace(n=99)])
    report(tmp_path / "13", "x", [figure(float("nan"))])
    (tmp_path / "15").mkdir()
    (tmp_path / "15" / "metrics.json").write_text('{"figures": {"FID"')
    [picture] = history(tmp_path / "30", [figure(2.0), Result("alone", 1.0, "", 100)])
    line = picture.image.axes[0].get_lines()[0]
    np.testing.assert_array_equal(line.get_xydata(), [[5, 9], [20, 3], [30, 2]])
    assert history(tmp_path / "samples", [figure(2.0)]) == [] and history(tmp_path / "gone" / "3", [figure(2.0)]) == []


def test_history_of_figures_written_before_they_said_their_layer(tmp_path):
    """Old checkpoints of a run would vanish from its curve."""
    report(tmp_path / "1", "x", [Result("FDpix", 3.0, "", 10, protocol="p")])
    path = tmp_path / "1" / "metrics.json"
    document = json.loads(path.read_text())
    for name in ("layer", "weights", "dtype"):
        del document["figures"]["FDpix"][name]
    path.write_text(json.dumps(document))
    assert len(history(tmp_path / "2", [Result("FDpix", 2.0, "", 10, protocol="p")])) == 1


def test_tiles_keep_proportions_and_pixels():
    """A stretched or smoothed image is not the one that was measured."""
    small = tile(REAL[0], 8)
    np.testing.assert_array_equal(small[2:6:2, ::2], REAL[0])
    assert (small[:2] == 128).all() and (small[6:] == 128).all()
    assert tiles([REAL[0], np.zeros((500, 300, 1), np.uint8)]).shape == (2, 128, 128, 3)
    checker = np.indices((256, 256)).sum(0)[..., None].astype(np.uint8) % 2 * 254
    assert (np.abs(tile(checker, 128).astype(int) - 127) <= 1).all()


def test_notes_have_as_many_digits_as_each_other():
    """Breaks if 12.0 stands beside 12.1 as 12, a copy looks rounded, or a large distance needs a power of ten."""
    values = (0, 0.0449, 7.6, 12.0, 99.96, 123.4, 999.6, 12345.6)
    assert [*map(digits, values)] == ["0", "0.0449", "7.60", "12.0", "100", "123", "1,000", "12,346"]


def test_a_sorted_set_shows_more_than_its_first_class():
    """A grid of one class, or of other images than those of its side."""
    images = np.arange(200, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 48, 48, 1), np.uint8)
    [picture] = sample_pictures(Side("sorted", images), Side("moments", ()))
    cells = picture.image[2 + 24 :: 50, 2 + 24 :: 50, 0].ravel()
    np.testing.assert_array_equal(cells, np.linspace(0, 199, 64).astype(int))
    assert picture.caption == "64 of 200 images of sorted, evenly spread."
    assert sample_pictures(Side("few", images[:9]), Side("moments", ()))[0].caption == "All 9 images of few."


def test_charts_of_features_are_of_both_sets(shown):
    """A swapped legend, or distances to another mean than that of the other real images."""
    scatter, distances = (
        shown[f"{what} of raw pixels"].image.axes[0] for what in ("Principal components", "Distance to the mean")
    )
    assert [text.get_text() for text in scatter.get_legend().get_texts()] == ["real images", "samples"]
    assert "component 1" in scatter.get_xlabel() and "%" in scatter.get_xlabel()
    chosen = np.random.default_rng(0).choice(40, 32, replace=False)
    alone = [np.linalg.norm(Y[i] - Y[np.setdiff1d(chosen, i)].mean(0)) for i in chosen]
    means = [line.get_xdata()[0] for line in distances.get_lines()]
    assert means[0] == pytest.approx(np.mean(alone))
    assert means[1] == pytest.approx(np.linalg.norm(X - Y[np.sort(chosen)].mean(0), axis=1).mean())
