"""Charts in one style: quiet axes, labelled with units, data in colour.

Each returns a matplotlib figure of its own, outside pyplot and its global state. `svg` makes it markup whose ink
is the reader's text colour, so that it reads on a light page and a dark one; `pixels` an array.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK = "#24292f"
COLOURS = ("#2f74c0", "#d1662a", "#3f9b57", "#9b59a6", "#b08a1e", "#7a8490")
STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "jaxgen",
}


@contextmanager
def _axes(width: float = 6.0, height: float = 3.0) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure of width x height inches and its axes, in the style; the colours come in the order of COLOURS."""
    import matplotlib
    from cycler import cycler
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "axes.prop_cycle": cycler(color=COLOURS)}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def _logarithmic(axis: "Axis") -> None:
    """Plain decimal labels at 1, 2 and 5 of every decade; to be called once the scale is logarithmic."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def smoothed(values: ArrayLike, window: int) -> np.ndarray:
    """Mean over the last `window` values, or as many as there are so far; [T]."""
    total = np.concatenate([[0.0], np.cumsum(np.asarray(values, np.float64))])
    stop = np.arange(1, len(total))
    start = np.maximum(0, stop - window)
    return (total[stop] - total[start]) / (stop - start)


def loss_curve(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], label: str = "loss") -> "Figure":
    """`curves` name -> (steps [T], values [T]): raw values faint, their running mean over 2% of the points on top.

    Short curves, as of evaluation, are drawn with a marker for each value. The value axis is logarithmic when
    all values are positive and span more than a factor of 10. Values that are not finite leave a gap.
    """
    with _axes() as (figure, axes):
        for (name, (steps, values)), colour in zip(curves.items(), cycle(COLOURS), strict=False):
            steps, values = np.asarray(steps), np.asarray(values, np.float64)
            if len(values) > 100:
                finite = np.isfinite(values)
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
                window = max(1, len(values) // 50)
                axes.plot(steps[finite], smoothed(values[finite], window), color=colour, label=name)
            else:
                axes.plot(steps, values, "o-", color=colour, markersize=3, label=name)
        shown = np.concatenate([np.asarray(values, np.float64) for _, values in curves.values()])
        shown = shown[np.isfinite(shown)]
        if shown.size and shown.min() > 0 and shown.max() > 10 * shown.min():
            axes.set_yscale("log")
            _logarithmic(axes.yaxis)
        axes.set(xlabel="optimizer steps", ylabel=label)
        if len(curves) > 1:
            axes.legend()
    return figure


def nfe_curves(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], label: str) -> "Figure":
    """`curves` sampler -> (network evaluations [T], figure [T]), both axes logarithmic; `label` names the figure."""
    with _axes() as (figure, axes):
        for name, (evaluations, values) in curves.items():
            axes.plot(evaluations, values, "o-", markersize=3, label=name)
        ticks: list[int] = []
        for count in sorted({int(e) for evaluations, _ in curves.values() for e in np.asarray(evaluations)}):
            if not ticks or count >= 1.3 * ticks[-1]:  # closer ones would be written over each other
                ticks.append(count)
        axes.set(xscale="log", yscale="log", xlabel="network evaluations for each sample", ylabel=label)
        axes.minorticks_off()
        _logarithmic(axes.yaxis)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.legend()
    return figure


def level_curves(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], label: str) -> "Figure":
    """`curves` name -> (noise levels sigma/alpha [T], shares [T] from 0 to 1), the levels logarithmic."""
    with _axes() as (figure, axes):
        for name, (levels, values) in curves.items():
            axes.plot(levels, values, "o-", markersize=3, label=name)
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="noise level sigma / alpha", ylabel=label)
        _logarithmic(axes.xaxis)
        axes.legend()
    return figure


def histogram(values: Mapping[str, ArrayLike], label: str, of: str = "images") -> "Figure":
    """`values` name -> [B]: the share in each bin, bins in common over the pooled range; dashed, the means."""
    with _axes() as (figure, axes):
        samples = {name: np.asarray(sample, np.float64) for name, sample in values.items()}
        edges = np.histogram_bin_edges(np.concatenate(list(samples.values())), "fd").tolist()
        for (name, sample), colour in zip(samples.items(), cycle(COLOURS), strict=False):
            share = np.full(len(sample), 1 / len(sample))
            axes.hist(sample, edges, weights=share, histtype="stepfilled", color=colour, alpha=0.3, label=name)
            axes.hist(sample, edges, weights=share, histtype="step", color=colour)
            axes.axvline(sample.mean(), color=colour, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set(xlabel=label, ylabel=f"share of {of}")
        if len(samples) > 1:
            axes.legend()
    return figure


def scatter(points: Mapping[str, ArrayLike], xlabel: str, ylabel: str) -> "Figure":
    """`points` name -> places [n, 2], on axes of one scale, the larger the fewer there are, and the ellipse with 95% of
    the Gaussian fit of each."""
    from matplotlib.lines import Line2D

    circle = np.stack([f(np.linspace(0, 2 * np.pi, 100)) for f in (np.cos, np.sin)], 1)
    handles = []
    with _axes(6.0, 4.5) as (figure, axes):
        for (name, places), colour, marker in zip(points.items(), cycle(COLOURS), cycle("o^sD"), strict=False):
            x = np.asarray(places, np.float64)
            size = float(np.clip(65 / np.sqrt(len(x)), 3.0, 6.5))
            values, vectors = np.linalg.eigh(np.cov(x.T))
            radii = np.sqrt(-2 * np.log(0.05) * np.maximum(values, 0))
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": size, "markeredgewidth": 0}
            axes.plot(*x.T, linestyle="", alpha=0.7 if len(x) < 200 else 0.5, rasterized=True, **style)
            axes.plot(*(x.mean(0) + circle * radii @ vectors.T).T, color=colour)
            handles.append(Line2D([], [], label=name, **style))
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_aspect("equal", "datalim")
        axes.legend(handles=handles)
    return figure


def over_steps(steps: ArrayLike, values: ArrayLike, errors: ArrayLike, label: str) -> "Figure":
    """A small chart of `values` [T] at `steps` [T], with bars of the `errors` [T], 0 for none."""
    with _axes(3.2, 2.2) as (figure, axes):
        axes.errorbar(
            np.asarray(steps), np.asarray(values), np.asarray(errors), fmt="o-", markersize=3, capsize=2, elinewidth=0.8
        )
        axes.set(xlabel="optimizer steps", ylabel=label)
        axes.locator_params(axis="x", nbins=4)
        axes.ticklabel_format(style="plain", axis="x", useOffset=False)
    return figure


def svg(figure: "Figure") -> str:
    """`figure` as an <svg> element on no background, its ink `currentColor`."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, dpi=200, metadata={"Date": None})
    markup = buffer.getvalue()
    return markup[markup.index("<svg") :].replace(INK, "currentColor")


def pixels(figure: "Figure", dpi: int = 160) -> np.ndarray:
    """`figure` on white as uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
