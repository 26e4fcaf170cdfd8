"""If these fail, a chart shows something else than the numbers it was given."""

import matplotlib
import numpy as np
import pytest
from matplotlib.path import Path

from jaxgen.io import plots


def test_running_mean_uses_only_the_past():
    """A centred window would make the loss fall before it does, a padded one bend its start."""
    np.testing.assert_allclose(plots.smoothed([4, 2, 0, 6], 2), [4, 3, 1, 3])
    np.testing.assert_allclose(plots.smoothed([4, 2, 0, 6], 9), [4, 3, 2, 3])


def test_loss_curve_draws_raw_values_and_skips_what_is_not_finite():
    """One NaN must not wipe out the curve; the scale is logarithmic only where that is possible."""
    values = np.geomspace(10, 0.1, 300)
    values[150] = np.nan
    axes = plots.loss_curve({"train": (np.arange(300), values), "test": ([0, 299], [5.0, 1.0])}).axes[0]
    raw, running, test = axes.get_lines()
    np.testing.assert_array_equal(raw.get_ydata(), values)
    assert np.isfinite(running.get_ydata()).all() and len(running.get_ydata()) == 299
    np.testing.assert_array_equal(test.get_ydata(), [5, 1])
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "optimizer steps"
    assert plots.loss_curve({"nats": ([0, 1], [-3.0, -400.0])}).axes[0].get_yscale() == "linear"


def test_nfe_axis_names_the_evaluations_that_were_run():
    axes = plots.nfe_curves({"ddim": ([5, 20], [0.5, 0.2]), "heun": ([9, 19], [0.4, 0.06])}, "FDpix").axes[0]
    # 20 would be written over 19.
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5", "9", "19"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_histogram_shares_add_up_to_one_for_sets_of_any_size():
    """360 test images beside 1437 training images must have the same area."""
    rng = np.random.default_rng(0)
    axes = plots.histogram({"test": rng.normal(2, 0.1, 360), "train": rng.normal(1.9, 0.1, 1437)}, "bits").axes[0]
    heights = [patch.get_xy()[:, 1] for patch in axes.patches if patch.get_fill()]
    assert len(heights) == 2
    for outline in heights:
        assert outline[1:-1:2].sum() == pytest.approx(1)


def test_ellipses_hold_95_percent_of_the_points_of_their_set():
    """A wrong radius or axis, and two sets look closer or farther than they are."""
    rng = np.random.default_rng(0)
    sets = {"a": rng.multivariate_normal([1, 2], [[4, 1.5], [1.5, 1]], 20_000), "b": rng.normal(size=(500, 2))}
    lines = plots.scatter(sets, "x", "y").axes[0].get_lines()
    np.testing.assert_array_equal(lines[0].get_xydata(), sets["a"])
    inside = Path(lines[1].get_xydata()).contains_points(sets["a"])
    assert inside.mean() == pytest.approx(0.95, abs=0.005)
    assert lines[1].get_color() == lines[0].get_color() != lines[3].get_color()


def test_points_of_few_are_seen_and_told_apart():
    """Fifty specks of one shape, and a legend of lines alone."""
    few, many = (np.random.default_rng(0).normal(size=(2, n, 2)) for n in (50, 500))
    axes, crowded = (plots.scatter({"a": x[0], "b": x[1]}, "x", "y").axes[0] for x in (few, many))
    first, _, second, _ = axes.get_lines()
    assert first.get_markersize() >= 6 > crowded.get_lines()[0].get_markersize() > 2.5
    shapes = [entry.get_marker() for entry in axes.get_legend().get_lines()]
    assert shapes == [first.get_marker(), second.get_marker()] and shapes[0] != shapes[1]


def test_bars_over_steps_are_one_error_each_way():
    """Half of it, or on another step."""
    axes = plots.over_steps([10, 20], [3.0, 2.0], [0.5, 0.0], "FID").axes[0]
    [bars] = [c for c in axes.collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose(bars.get_segments(), [[[10, 2.5], [10, 3.5]], [[20, 2], [20, 2]]])


def test_charts_leave_matplotlib_as_they_found_it():
    """A library that restyles its caller's own plots is a nuisance."""
    before = dict(matplotlib.rcParams)
    figure = plots.loss_curve({"a": ([0, 1], [1.0, 2.0])})
    picture = plots.pixels(figure)
    assert plots.svg(figure).startswith("<svg") and picture.dtype == np.uint8 and picture.min() < 60 < picture.max()
    assert dict(matplotlib.rcParams) == before
