"""The Frechet distance of infinitely many samples, which the distance of few overestimates by about 1/n."""

from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution.blocks import taken
from jaxgen.evaluate.distribution.frechet import Moments, frechet, moments
from jaxgen.evaluate.distribution.frechet_error import influence
from jaxgen.io.progress import tracked


class Extrapolation(NamedTuple):
    """The line value + slope / n through `distances` of `sizes` samples, and the standard error of its value."""

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

    Chong and Forsyth (2020), with 15 numbers from 5000, and as there n samples drawn anew of all for each of them;
    `rows` is an array or read in blocks. The reference keeps its own bias.

    FD_inf = sum_j w_j FD_j, so that to first order a sample i moves it by a_i psi_i, a_i the sum of w_j / n_j over the
    draws that it is in and psi its `influence`: the error is sqrt(sum_i a_i^2 psi_i^2). It holds both what another set
    of samples would change and what other draws would.
    """
    n = len(rows)
    if points < 3 or not 2 <= fewest <= n - points + 1:
        raise ValueError(
            f"an extrapolation over {points} sample sizes from {fewest} needs 3 or more sizes and more than "
            f"{fewest + points - 2} samples, got {n}: generate more or start from fewer."
        )
    sizes = np.linspace(fewest, n, points).astype(int)
    weights = np.linalg.pinv(np.stack([np.ones(points), 1 / sizes], 1))
    random, taking, distances = np.random.default_rng(seed), np.zeros(n), []
    for size, weight in tracked(zip(sizes, weights[0], strict=True), points):
        chosen = random.permutation(n)[:size]
        taking[chosen] += weight / size
        part = moments(np.reshape(taken(rows, chosen), (size, -1)))
        distances.append(frechet(part, reference))
    value, slope = weights @ distances
    psi = influence(rows, part, reference)  # the last draw is of all samples
    error = np.sqrt(np.square(taking * psi).sum())
    return Extrapolation(float(value), float(slope), float(error), sizes, np.asarray(distances))
