"""The samples that are most and least like the real ones."""

import numpy as np

from jaxgen.evaluate.pictures.picture import Picture, Sheet, digits, picked, tiles
from jaxgen.evaluate.stream.sides import Side

COLUMNS, ROWS = 8, 2


def realism_pictures(fake: Side, realism: np.ndarray, space: str) -> list[Picture]:
    """The best and the worst images of `fake` by their `realism` [m] (see `evaluate.distribution.prdc`) in the features
    called `space`."""
    order = np.argsort(-realism, kind="stable")
    count = max(1, min(COLUMNS * ROWS, len(order) // 2))
    inside = f"{int((realism >= 1).sum()):,} of {len(realism):,} samples have 1 or more, inside some ball"
    explained = "Under each its realism: the largest radius of a real image's ball over the distance from its centre"
    return [
        Picture(
            f"Most realistic in {space}", sheet(fake, realism, order[:count]), f"{explained}. {inside}.", "Realism"
        ),
        Picture(f"Least realistic in {space}", sheet(fake, realism, order[::-1][:count]), "The other end.", "Realism"),
    ]


def sheet(fake: Side, realism: np.ndarray, shown: np.ndarray) -> Sheet:
    """These images in rows of 8."""
    columns = min(COLUMNS, len(shown))
    shown = shown[: len(shown) // columns * columns].reshape(-1, columns)
    small = tiles(picked(fake.rows, shown.ravel()))
    return Sheet(small.reshape(*shown.shape, *small.shape[1:]), [[digits(realism[i]) for i in row] for row in shown])
