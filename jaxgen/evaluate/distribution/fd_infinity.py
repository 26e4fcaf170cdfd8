"""The Frechet distance of infinitely many samples, which the distance of few overestimates by about 1/n."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution.blocks import taken
from jaxgen.evaluate.distribution.frechet import Moments, frechet, merge, moments


class Extrapolation(NamedTuple):
    """The line value + slope / n through `distances` of `sizes` samples, and the standard error of its value from the
    scatter about the line, which says nothing of the scatter between one whole sample and another."""

    value: float
    slope: float
    error: float
    sizes: np.ndarray
    distances: np.ndarray


def frechet_infinity(
    rows: Any, reference: Moments, points: int = 15, fewest: int = 5000, seed: int = 0
) -> Extrapolation:
    """The limit n -> infinity of the Frechet distance of n generated features `rows` [N, d] from `reference`.

        FD_n = FD_inf + slope / n, least squares over `points` numbers n from `fewest` to N, equally spaced

    Chong and Forsyth (2020), with 15 numbers from 5000. Samples are taken in one random order, the first n
    of it each time, as there; `rows` is an array or read in blocks. The reference keeps its own bias.
    """
    n = len(rows)
    if points < 3 or not 2 <= fewest <= n - points + 1:
        raise ValueError(
            f"an extrapolation over {points} sample sizes from {fewest} needs 3 or more sizes and more than "
            f"{fewest + points - 2} samples, got {n}: generate more or start from fewer."
        )
    sizes = np.linspace(fewest, n, points).astype(int)
    order = np.random.default_rng(seed).permutation(n)
    so_far, distances = None, []
    for start, stop in pairwise((0, *sizes)):
        part = moments(np.reshape(taken(rows, order[start:stop]), (stop - start, -1)))
        so_far = part if so_far is None else merge(so_far, part)
        distances.append(frechet(so_far, reference))
    line = np.stack([np.ones(points), 1 / sizes], 1)
    (value, slope), *_ = np.linalg.lstsq(line, np.asarray(distances), rcond=None)
    scatter = np.square(distances - line @ (value, slope)).sum() / (points - 2)
    error = np.sqrt(scatter * np.linalg.inv(line.T @ line)[0, 0])
    return Extrapolation(float(value), float(slope), float(error), sizes, np.asarray(distances))
