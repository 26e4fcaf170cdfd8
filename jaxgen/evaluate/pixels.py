"""Sample quality of small images on their raw pixels, where no feature network is called for."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike

from jaxgen.evaluate.distribution.blocks import View, shape
from jaxgen.evaluate.figures import Seen, fd, moments_of, nearest, prdc
from jaxgen.evaluate.neighbourhood import Neighbourhood
from jaxgen.evaluate.result import Result


def to_levels(images: ArrayLike, levels: int) -> np.ndarray:
    """clip(round(x), 0, levels - 1) / (levels - 1): images [n, ...] in integer units onto the levels of [0, 1]."""
    images = np.asarray(images, np.float64)
    if not np.isfinite(images).all():
        raise ValueError("images must be finite, got NaN or infinity; look at the generated samples.")
    return np.clip(np.rint(images), 0, levels - 1) / (levels - 1)


def protocol(levels: int) -> str:
    """What figures of raw pixels are figures of."""
    return f"Raw pixels in [0, 1] on {levels} levels, Euclidean"


def compare(generated: Any, train: Any, levels: int) -> list[Result]:
    """Every figure of `generated` [m, ...] against `train` [n, ...], both in integer units 0 ... levels - 1: arrays, or
    rows that are read in blocks.

    FDpix, precision, recall, density, coverage and the distance to the nearest training image, with their standard
    errors. All of them compare with the training set, so all but the last reward memorising: read
    the distance beside them.
    """
    if shape(generated)[1:] != shape(train)[1:]:
        raise ValueError(
            f"generated images must have the training shape {shape(train)[1:]}, got {shape(generated)[1:]}."
        )
    real, fake = (
        Seen(len(rows), moments_of(rows, np.arange(len(rows))), rows, role="train")
        for rows in (View(side, lambda x: to_levels(x, levels).reshape(len(x), -1)) for side in (train, generated))
    )
    near = Neighbourhood(real.rows, fake.rows)
    distance, *others = [*fd(real, fake, near), *prdc(real, fake, near), *nearest(real, fake, near)]
    against = f"{protocol(levels)}; against {len(train):,} training images"
    return [found._replace(protocol=against) for found in (distance._replace(name="FDpix"), *others)]
