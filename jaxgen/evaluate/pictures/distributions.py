"""Features of both sets, drawn: principal components and distances to the mean."""

from typing import Any

import numpy as np

from jaxgen.evaluate.distribution.blocks import shape, taken
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.io import plots

MOST, BYTES = 500, 1 << 28  # rows of each set and what they take


def feature_pictures(fake: Any, real: Any, space: str) -> list[Picture]:
    """Charts of the features called `space` of samples [m, d] and real images [n, d], arrays or rows that are read
    in blocks, up to 500 of each drawn at random, the same every time."""
    d = int(np.prod(shape(real)[1:]))
    count = min(MOST, len(fake), len(real), max(2, BYTES // (8 * d)))
    sets = {name: drawn(rows, count) for name, rows in (("real images", real), ("samples", fake))}
    places, share = components(np.concatenate(list(sets.values())))
    first, second = (f"component {i + 1}, {part:.1%} of the variance" for i, part in enumerate(share))
    scatter = plots.scatter(dict(zip(sets, np.split(places, 2), strict=True)), first, second)
    mean = sets["real images"].mean(0)
    distances = {name: np.linalg.norm(x - mean, axis=1) for name, x in sets.items()}
    distances["real images"] *= count / (count - 1)  # to the mean of the others, as it is for samples
    said = f"{count:,} images of each set by {space}"
    return [
        Picture(
            f"Principal components of {space}",
            scatter,
            f"{said}, on the principal components of both together; ellipses hold 95% of the Gaussian fits.",
            "Features",
        ),
        Picture(
            f"Distance to the mean of {space}",
            plots.histogram(distances, "distance to the mean of the real images"),
            f"{said}. Samples that are nearer than real images are too much of a kind, farther ones have "
            "something that no real image has. Dashed are the means.",
            "Features",
        ),
    ]


def drawn(rows: Any, count: int) -> np.ndarray:
    """`count` of the rows at random, the same every time, [count, d]."""
    chosen = np.random.default_rng(0).choice(len(rows), count, replace=False)
    return taken(rows, chosen).reshape(count, -1).astype(np.float64)


def components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two largest principal components of `x` [n, d], d > 1: places [n, 2], and their shares [2] of the variance.
    Of X = U S V^T, centred, places are U S = X V, and U or V are eigenvectors of the smaller of X X^T and X^T X."""
    centred = x - x.mean(0)
    wide = centred.shape[0] < centred.shape[1]
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    places = vectors[:, :2] * np.sqrt(values[:2]) if wide else centred @ vectors[:, :2]
    return places, values[:2] / max(values.sum(), np.finfo(float).tiny)
