"""If these fail, precision, recall, density and coverage are not those of the papers."""

import numpy as np
import pytest

from jaxgen.evaluate.distribution import blocks
from jaxgen.evaluate.distribution.neighbours import leave_one_out, nearest, nearest_others, proximity, self_proximity
from jaxgen.evaluate.distribution.prdc import PRDC, prdc, realism
from jaxgen.evaluate.distribution.scan import bounds, centre_of, read, rounded, spread, squared_distances
from jaxgen.parallel.mesh import make_mesh


def expected(data, case, k):
    return PRDC(*(float(data[f"{case}/k{k}/{name}"]) for name in ("precision", "recall", "density_le", "coverage_le")))


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("case", ["main", "modecollapse", "ties"])
def test_reference_values(golden, x64, case, k):
    """`ties` tells <= from <, counting a point as its own neighbour shifts all four, swapping the sets swaps two."""
    data = golden("prdc")
    assert prdc(data[f"{case}/real"], data[f"{case}/fake"], k) == pytest.approx(expected(data, case, k), abs=1e-12)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("case", ["main", "modecollapse", "ties"])
def test_float32_moves_no_membership(golden, case, k):
    """One pair of `modecollapse` lies within 3e-8 of a ball's surface, closer than float32 resolves: it is measured."""
    data = golden("prdc")
    real, fake = data[f"{case}/real"], data[f"{case}/fake"]
    assert prdc(real, fake, k) == pytest.approx(expected(data, case, k), abs=1e-12)
    np.testing.assert_allclose(leave_one_out(real, k), data[f"{case}/k{k}/radii2_real"], rtol=1e-12)
    found = realism(real, fake, k, share=1.0)
    np.testing.assert_allclose(np.square(found), data[f"{case}/k{k}/realism_sq"], rtol=1e-9)


def test_realism_prunes_wide_balls(golden):
    """The paper's score leaves out the half of the balls that are widest; it is at most that of all."""
    data = golden("prdc")
    real, fake = np.float64(data["main/real"]), np.float64(data["main/fake"])
    radii = data["main/k3/radii2_real"]
    distances = np.square(fake[:, None] - real).sum(-1) + 1e-5
    expected = np.sqrt((np.where(radii <= np.median(radii), radii, 0) / distances).max(1))
    np.testing.assert_allclose(realism(real, fake, 3), expected, rtol=1e-9)
    with pytest.raises(ValueError, match="positive radius"):
        realism(np.ones((9, 2)), fake[:, :2])


def test_candidates_that_are_too_few_are_found_out(monkeypatch):
    """Thirty points closer together than float32 products resolve, at a distance from the others: the nearest of them
    is not among the candidates at first, nor is that of a set that is one point many times."""
    monkeypatch.setattr(blocks, "BLOCK", 32)
    rng = np.random.default_rng(0)
    shell = rng.normal(size=(40, 6))
    shell *= (1 + 1e-7 * rng.permutation(40)[:, None]) / np.linalg.norm(shell, axis=1, keepdims=True)
    points, query = np.concatenate([shell, 5 + rng.normal(size=(30, 6))]), np.zeros((1, 6))
    exact = np.square(points).sum(1)
    squared, index = nearest(query, points, 3)
    np.testing.assert_array_equal(index[0], np.argsort(exact)[:3])
    np.testing.assert_allclose(squared[0], np.sort(exact)[:3], rtol=1e-12)
    same = np.concatenate([np.ones((50, 6)), shell])
    squared, index = nearest_others(same, 2)
    np.testing.assert_array_equal(squared[:50], 0)
    np.testing.assert_array_equal(index[:3], [[1, 2], [0, 2], [0, 1]])


@pytest.fixture(scope="module")
def wide():
    """Two sets of 300 dimensions, each with thirty points closer together than bfloat16 resolves, some copied with a
    change of the last bit; and their squared distances: within the first, within the second, across."""
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(90, 300)).astype("f4") for _ in range(2)]
    for x in sets:
        x[30:60] = x[30] + 1e-4 * x[:30]
    sets[1][:5] = np.nextafter(sets[0][:5], np.float32(9))
    x, y = (z.astype(np.float64) for z in sets)
    tables = [np.square(a[:, None] - b).sum(-1) for a, b in ((x, x), (y, y), (x, y))]
    for own in tables[:2]:
        np.fill_diagonal(own, np.inf)
    return *sets, *tables


def test_bounds_hold_of_rounded_rows(wide):
    """A bound on the wrong side, as of a rounding that XLA does away with, passes over neighbours without a word."""
    x, y, _, _, exact = wide
    mesh, centre = make_mesh(), centre_of(x, y)
    (_, _, a), (_, _, b) = (next(read(rows, centre, mesh)) for rows in (x, y))
    near = rounded(a), rounded(b)
    assert near[0].x.dtype == "bfloat16" and (np.asarray(near[0].off)[:90] > 0).all()
    for blocks_of in (near, (a, b)):
        low, high = (np.asarray(bound)[:90, :90] for bound in spread(bounds, mesh)(*blocks_of))
        assert (low <= exact).all() and (exact <= high).all()
    low, high = (np.asarray(bound)[60:90, 60:90] for bound in spread(bounds, mesh)(*near))
    assert ((high - low) < 0.03 * exact[60:, 60:]).all()


def test_neighbours_of_wide_rows_are_exact(wide):
    """Breaks if what the rounded rows leave open is not looked at again with all their digits."""
    x, y, of_x, of_y, across = wide
    squared, index = nearest(x, y, 4)
    np.testing.assert_allclose(squared, np.sort(across, 1)[:, :4], rtol=1e-12)
    np.testing.assert_array_equal(index, np.argsort(across, 1)[:, :4])
    squared, index = nearest_others(x, 4)
    np.testing.assert_allclose(squared, np.sort(of_x, 1)[:, :4], rtol=1e-12)
    np.testing.assert_array_equal(index, np.argsort(of_x, 1)[:, :4])
    held, reached = across <= np.sort(of_x, 1)[:, [4]], across <= np.sort(of_y, 1)[:, 4]
    expected = held.any(0).mean(), reached.any(1).mean(), held.sum(0).mean() / 5, held.any(1).mean()
    assert prdc(x, y, 5) == pytest.approx(expected, abs=1e-12)


def test_halves_of_the_symmetric_table_make_the_whole(monkeypatch):
    """What a block sees from the other side must be of the other points, once each, and never of the point itself."""
    points = np.random.default_rng(0).normal(size=(131, 5)).astype("f4")
    full = np.square(points[:, None].astype(np.float64) - points).sum(-1)
    np.fill_diagonal(full, np.inf)
    monkeypatch.setattr(blocks, "BLOCK", 40)
    squared, index = nearest_others(points, 3)
    np.testing.assert_array_equal(index, np.argsort(full, 1)[:, :3])
    np.testing.assert_allclose(squared, np.sort(full, 1)[:, :3], rtol=1e-12)


def test_small_distances_far_from_the_origin_survive():
    """The expanded square |a|^2 + |b|^2 - 2ab in float32 returns 0 or noise for neighbours 1e-2 apart at 1000."""
    x = 1000 + np.arange(40, dtype=np.float32)[:, None] * np.float32(1 / 128) * np.ones((1, 8), np.float32)
    np.testing.assert_allclose(leave_one_out(x, 1), 8 / 128**2, rtol=1e-6)


def test_blocks_do_not_show():
    """Rows are taken in blocks; the remainder block must not lose or repeat rows."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(131, 5)).astype("f4"), rng.normal(size=(77, 5)).astype("f4")
    full = np.square(a[:, None].astype(np.float64) - b[None]).sum(-1)
    squared, index = nearest(a, b, 4)
    np.testing.assert_array_equal(index, np.argsort(full, 1)[:, :4])
    np.testing.assert_allclose(squared, np.sort(full, 1)[:, :4], rtol=1e-5)


def test_copies_are_counted_and_named():
    """A generator that recalls training images must be seen to, and which ones."""
    train = np.random.default_rng(0).integers(0, 17, (60, 8, 8)) / 16
    samples = np.concatenate([train[[7, 3, 7]], np.clip(train[10:30] + 1 / 16, 0, 2)])
    near = proximity(samples, train)
    assert near.copies == 3
    np.testing.assert_array_equal(near.indices, [7, 3, 7, *range(10, 30)])
    np.testing.assert_allclose(near.distances[3:], 0.5)
    assert near.median == pytest.approx(0.5)
    assert self_proximity(np.concatenate([train, train[:1]])).copies == 2


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((5, 2)), np.zeros((9, 2)), "k = 5 neighbourhood needs more than 5 samples, got 5"),
        (np.zeros((9, 2)), np.zeros((9, 3)), "got 2 and 3"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), "finite"),
        (np.zeros((9, 2)), np.full((9, 2), -1e20), r"at most 1e\+15 in size, got 1e\+20"),  # whose squares overflow
        (np.zeros(9), np.zeros((9, 1)), r"got shape \(9,\)"),
    ],
)
def test_unusable_samples_are_refused(real, fake, message):
    with pytest.raises(ValueError, match=message):
        prdc(real, fake)
    with pytest.raises(ValueError, match="needs|one dimension|finite|shape"):
        proximity(np.zeros((0, 2)), real)


def test_rows_that_are_there_many_times_are_measured_once(monkeypatch):
    """A collapsed generator, black frames: equal rows cannot be told apart on the device, and all pairs of them were
    measured on the host, four million of these; and what comes out must be as if they had been."""
    pairs = []

    def counted(a, b, i, j):
        pairs.append(len(i))
        return squared_distances(a, b, i, j)

    for module in ("scan", "prdc"):
        monkeypatch.setattr(f"jaxgen.evaluate.distribution.{module}.squared_distances", counted)
    rng = np.random.default_rng(0)
    real = rng.normal(size=(60, 4)).astype("f4")[np.sort(rng.integers(0, 60, 2000))]
    fake = np.concatenate([np.repeat(real[:1], 1000, 0), real[::40] + np.float32(0.25), np.repeat(real[5:6], 950, 0)])
    exact = np.square(real[:, None].astype(np.float64) - fake).sum(-1)
    own = [np.square(x[:, None].astype(np.float64) - x).sum(-1) for x in (real, fake)]
    for table in own:
        np.fill_diagonal(table, np.inf)
    of_real, of_fake = (np.sort(table, 1)[:, 4] for table in own)
    held, reached = exact <= of_real[:, None], exact <= of_fake
    expected = held.any(0).mean(), reached.any(1).mean(), held.sum(0).mean() / 5, held.any(1).mean()
    assert prdc(real, fake, 5) == pytest.approx(expected, abs=1e-12)
    squared, index = nearest(fake, real, 7)
    np.testing.assert_array_equal(index, np.lexsort((np.broadcast_to(np.arange(2000), exact.T.shape), exact.T))[:, :7])
    np.testing.assert_allclose(squared, np.sort(exact.T, 1)[:, :7], rtol=1e-12)
    squared, index = nearest_others(fake, 3)
    np.testing.assert_allclose(squared, np.sort(own[1], 1)[:, :3], rtol=1e-12)
    np.testing.assert_array_equal(index[0], [1, 2, 3])
    assert sum(pairs) < 100_000
