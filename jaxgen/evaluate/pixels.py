"""Sample quality of small images on their raw pixels, where no feature network is called for."""

import numpy as np
from jax.typing import ArrayLike

from jaxgen.evaluate.frechet import frechet, moments
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


def compare(generated: ArrayLike, train: ArrayLike, levels: int, k: int = 5) -> tuple[list[Result], Proximity]:
    """Every figure of `generated` [m, ...] against `train` [n, ...], both in integer units 0 ... levels - 1.

    FDpix, precision, recall, density, coverage and the distance to the nearest training image, with binomial and
    jackknife standard errors; and which training images are the nearest. All of them compare with the training
    set, so all but the last reward memorising: read the distance beside them.
    """
    fake, real = to_levels(generated, levels), to_levels(train, levels)
    if fake.shape[1:] != real.shape[1:]:
        raise ValueError(f"generated images must have the training shape {real.shape[1:]}, got {fake.shape[1:]}.")
    fake, real = fake.reshape(len(fake), -1), real.reshape(len(real), -1)
    m, reference = len(fake), moments(real)

    def distance(rows: np.ndarray) -> float:
        return frechet(moments(rows), reference)

    scores, near, own = prdc(real, fake, k), proximity(fake, real), self_proximity(real)
    protocol = f"Raw pixels in [0, 1] on {levels} levels, Euclidean, k = {k}, against {len(real):,} training images"

    def figure(name: str, value: float, definition: str, count: int = m, error: float | None = None) -> Result:
        return Result(name, value, definition, count, error, protocol=protocol)

    def share(name: str, value: float, definition: str, count: int) -> Result:
        return figure(name, value, definition, count, (value * (1 - value) / count) ** 0.5)

    spread = jackknife_error(distance, fake, GROUPS)
    jackknife = "± by a jackknife, on the large side"
    balls = "a ball reaches the k-th nearest neighbour among its own kind"
    return [
        figure("FDpix", distance(fake), f"Fréchet distance of Gaussian fits, ddof 1; {jackknife}", error=spread),
        share("precision", scores.precision, f"share of samples inside some training image's ball; {balls}", m),
        share("recall", scores.recall, "share of training images inside some sample's ball", len(real)),
        figure("density", scores.density, "mean number of training balls that hold a sample, over k"),
        share("coverage", scores.coverage, "share of training images whose ball holds a sample", len(real)),
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
