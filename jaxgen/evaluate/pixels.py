"""Sample quality of small images on their raw pixels, where no feature network is called for."""

from functools import reduce
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from jaxgen.evaluate.blocks import View, blocks, shape
from jaxgen.evaluate.frechet import Moments, frechet, merge, moments
from jaxgen.evaluate.neighbours import Proximity, proximity, self_proximity
from jaxgen.evaluate.prdc import prdc
from jaxgen.evaluate.result import Result, jackknife_error

GROUPS = 20  # of the jackknife
FEWEST = 2 * GROUPS  # samples


def to_levels(images: ArrayLike, levels: int) -> np.ndarray:
    """clip(round(x), 0, levels - 1) / (levels - 1): images [n, ...] in integer units onto the levels of [0, 1]."""
    images = np.asarray(images, np.float64)
    if not np.isfinite(images).all():
        raise ValueError("images must be finite, got NaN or infinity; look at the generated samples.")
    return np.clip(np.rint(images), 0, levels - 1) / (levels - 1)


def compare(generated: Any, train: Any, levels: int, k: int = 5) -> tuple[list[Result], Proximity]:
    """Every figure of `generated` [m, ...] against `train` [n, ...], both in integer units 0 ... levels - 1: arrays, or
    rows that are read in blocks.

    FDpix, precision, recall, density, coverage and the distance to the nearest training image, with binomial and
    jackknife standard errors; and which training images are the nearest. All of them compare with the training
    set, so all but the last reward memorising: read the distance beside them.
    """
    if shape(generated)[1:] != shape(train)[1:]:
        raise ValueError(
            f"generated images must have the training shape {shape(train)[1:]}, got {shape(generated)[1:]}."
        )
    fake, real = (View(rows, lambda x: to_levels(x, levels).reshape(len(x), -1)) for rows in (generated, train))
    m, n = len(fake), len(real)
    reference = moments_of(real, np.arange(n))

    def distance(rows: np.ndarray) -> float:
        return frechet(moments_of(fake, rows), reference)

    scores, near, own = prdc(real, fake, k), proximity(fake, real), self_proximity(real)
    protocol = f"Raw pixels in [0, 1] on {levels} levels, Euclidean, k = {k}, against {n:,} training images"

    def figure(name: str, value: float, definition: str, count: int = m, error: float | None = None) -> Result:
        return Result(name, value, definition, count, error, protocol=protocol)

    def share(name: str, value: float, definition: str, count: int) -> Result:
        return figure(name, value, definition, count, (value * (1 - value) / count) ** 0.5)

    spread = jackknife_error(distance, np.arange(m), GROUPS)
    jackknife = "± by a jackknife, on the large side"
    balls = "a ball reaches the k-th nearest neighbour among its own kind"
    return [
        figure(
            "FDpix", distance(np.arange(m)), f"Fréchet distance of Gaussian fits, ddof 1; {jackknife}", error=spread
        ),
        share("precision", scores.precision, f"share of samples inside some training image's ball; {balls}", m),
        share("recall", scores.recall, "share of training images inside some sample's ball", n),
        figure("density", scores.density, "mean number of training balls that hold a sample, over k"),
        share("coverage", scores.coverage, "share of training images whose ball holds a sample", n),
        figure(
            "nearest_train_median",
            near.median,
            "median distance from a sample to its nearest training image; much less than the "
            f"{own.median:.3f} among the training images themselves (leave one out) is memorising",
        ),
        figure(
            "nearest_train_p05",
            near.p05,
            f"5th percentile of that distance; {own.p05:.3f} among the training images themselves",
        ),
        figure("copies", near.copies, "samples equal to a training image in every pixel"),
    ], near


def moments_of(rows: Any, chosen: np.ndarray) -> Moments:
    """Moments of the rows with the indices `chosen`."""
    taken = np.zeros(len(rows), bool)
    taken[chosen] = True
    parts = (block[taken[start : start + len(block)]] for start, block in blocks(rows))
    return reduce(merge, (moments(part) for part in parts if len(part)))
