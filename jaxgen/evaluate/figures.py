"""Two sets of images, seen by a network, in figures: the distribution metrics with what makes their numbers mean
something."""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution import class_scores, kernel
from jaxgen.evaluate.distribution.blocks import blocks
from jaxgen.evaluate.distribution.fd_infinity import frechet_infinity
from jaxgen.evaluate.distribution.frechet import Moments, frechet, merge, moments
from jaxgen.evaluate.distribution.inception_score import Sums, inception_score
from jaxgen.evaluate.distribution.neighbours import proximity, self_proximity
from jaxgen.evaluate.distribution.prdc import prdc as prdc_of
from jaxgen.evaluate.distribution.prdc import realism as realism_of
from jaxgen.evaluate.distribution.vendi import vendi
from jaxgen.evaluate.result import Result, jackknife_error

GROUPS = 20  # of the jackknife
SPLIT = 10  # images that a split of an Inception Score has at least
BALLS = "a ball reaches the k-th nearest neighbour among its own kind"


class Seen(NamedTuple):
    """What is known of one layer of a network over n images; None where no metric asks for it.

    moments: of the layer.
    rows:    the layer itself [n, d], an array or rows that are read in blocks.
    classes: sums of class probabilities, where the layer is logits.
    """

    n: int
    moments: Moments | None = None
    rows: Any = None
    classes: Sums | None = None


def fd(real: Seen, fake: Seen) -> list[Result]:
    """The Fréchet distance (Heusel et al. 2017, eq. 6), with a jackknife over the samples where they are at hand."""
    assert real.moments is not None and fake.moments is not None
    total, reference = fake.moments, real.moments

    def without(left: np.ndarray) -> float:
        part = moments_of(fake.rows, left)
        return frechet(merge(total, Moments(-part.n, part.shift, -part.s, -part.c)), reference)

    everyone = np.arange(fake.n)
    error = None
    if fake.rows is not None and fake.n >= 2 * GROUPS:
        error = jackknife_error(lambda kept: without(np.setdiff1d(everyone, kept)), everyone, GROUPS)
    definition = (
        f"Fréchet distance of Gaussian fits to {len(total.s)} features, ddof 1; biased upwards by about 1/n"
        f"{'; ± by a jackknife, on the large side' if error is not None else ''}"
    )
    return [Result("FD", frechet(total, reference), definition, fake.n, error)]


def moments_of(rows: Any, chosen: np.ndarray) -> Moments:
    """Moments of the rows with the indices `chosen`, read in blocks."""
    taken = np.zeros(len(rows), bool)
    taken[chosen] = True
    parts = (block[taken[start : start + len(block)]] for start, block in blocks(rows))
    return reduce(merge, (moments(part) for part in parts if len(part)))


def prdc(real: Seen, fake: Seen, k: int = 5) -> list[Result]:
    """Precision, recall, density and coverage (Kynkaanniemi et al. 2019; Naeem et al. 2020)."""
    scores = prdc_of(real.rows, fake.rows, k)
    return [
        share(
            "precision",
            scores.precision,
            f"share of samples inside some training image's ball, k = {k}; {BALLS}",
            fake.n,
        ),
        share("recall", scores.recall, f"share of training images inside some sample's ball, k = {k}", real.n),
        Result("density", scores.density, f"mean number of training balls that hold a sample, over k = {k}", fake.n),
        share("coverage", scores.coverage, f"share of training images whose ball holds a sample, k = {k}", real.n),
    ]


def ipr(real: Seen, fake: Seen) -> list[Result]:
    """Improved precision and recall with the paper's k = 3 (Kynkaanniemi et al. 2019)."""
    return [found._replace(name=f"improved_{found.name}") for found in prdc(real, fake, 3)[:2]]


def share(name: str, value: float, definition: str, n: int) -> Result:
    """A share of n images with its binomial standard error."""
    return Result(name, value, definition, n, (value * (1 - value) / n) ** 0.5)


def nearest(real: Seen, fake: Seen) -> list[Result]:
    """How near samples are to training images, beside these among themselves: the check for copies."""
    near, own = proximity(fake.rows, real.rows), self_proximity(real.rows)
    return [
        Result(
            "nearest_train_median",
            near.median,
            "median distance from a sample to its nearest training image; much less than the "
            f"{own.median:.3f} among the training images themselves (leave one out) is memorising",
            fake.n,
        ),
        Result(
            "nearest_train_p05",
            near.p05,
            f"5th percentile of that distance; {own.p05:.3f} among the training images themselves",
            fake.n,
        ),
        Result("copies", near.copies, "samples equal to a training image", fake.n),
    ]


def fd_infinity(real: Seen, fake: Seen) -> list[Result]:
    """The Fréchet distance of infinitely many samples (Chong and Forsyth 2020)."""
    assert real.moments is not None
    found = frechet_infinity(fake.rows, real.moments)
    definition = (
        f"Fréchet distance extrapolated to infinitely many samples over {len(found.sizes)} numbers of them from "
        f"{found.sizes[0]:,.0f} on, linear in 1/n; ± by the scatter about the line"
    )
    return [Result("FD_infinity", found.value, definition, fake.n, found.error)]


def kid(real: Seen, fake: Seen) -> list[Result]:
    """The kernel distance (Binkowski et al. 2018), of subsets as published and of all pairs."""
    size = min(1000, real.n, fake.n)
    subsets, whole = kernel.kid(real.rows, fake.rows, size=size), kernel.kid_full(real.rows, fake.rows)
    of = "unbiased MMD^2 with the kernel (x . y / d + 1)^3"
    return [
        Result(
            "KID",
            subsets.mean,
            f"{of}, mean of 100 pairs of subsets of {size}, seed 2020, whose standard deviation "
            f"is {subsets.std:.3g}; may be negative",
            fake.n,
            whole.error,
        ),
        Result("KID_full", whole.value, f"{of}, of all pairs; ± by a jackknife over both sets", fake.n, whole.error),
    ]


def mmd(real: Seen, fake: Seen) -> list[Result]:
    """The kernel distance of CMMD (Jayasumana et al. 2024)."""
    found = kernel.cmmd(real.rows, fake.rows)
    definition = "1000 MMD^2 of unit rows with a Gaussian kernel of width 10, biased; ± by a jackknife over both sets"
    return [Result("MMD", found.value, definition, fake.n, found.error)]


def realism(real: Seen, fake: Seen) -> list[Result]:
    """Realism of the samples (Kynkaanniemi et al. 2019, eq. 3)."""
    found = realism_of(real.rows, fake.rows)
    inside = "largest ratio of a training image's ball, k = 3, the smaller half of them, to the distance from it"
    return [
        Result("realism_median", float(np.median(found)), f"median over samples of the {inside}", fake.n),
        share("realistic", float((found >= 1).mean()), f"share of samples of realism 1 or more, {inside}", fake.n),
    ]


def diversity(real: Seen, fake: Seen) -> list[Result]:
    """Vendi scores of the samples by themselves (Friedman and Dieng 2023)."""
    of = "effective number of different samples, by the cosines of their features"
    return [
        Result("Vendi", vendi(fake.rows, 1), f"{of}: exp of the entropy of the eigenvalues, at most n", fake.n),
        Result("Vendi_inf", vendi(fake.rows, math.inf), f"{of}: 1 over the largest eigenvalue", fake.n),
    ]


def scores(real: Seen, fake: Seen) -> list[Result]:
    """The Inception Score of all images at once (Salimans et al. 2016), and of ten parts as torch-fidelity has it."""
    whole = inception_score(fake.rows)
    of = f"exp of the mutual information of image and class, {np.shape(fake.rows)[1]} classes"
    found = [Result("IS", whole.mean, f"{of}, in one split", fake.n, whole.error)]
    if fake.n >= 10 * SPLIT:
        parts = inception_score(fake.rows, 10, 2020)
        definition = f"{of}, mean of ten splits, seed 2020, whose standard deviation is {parts.std:.3g}"
        found.append(Result("IS_10", parts.mean, definition, fake.n, parts.error))
    return found


def mode_score(real: Seen, fake: Seen) -> list[Result]:
    """The mode score of Xu et al. (2018)."""
    assert real.classes is not None and fake.classes is not None
    definition = (
        "exp of the mutual information of image and class less the divergence of the classes from the real ones"
    )
    return [Result("mode_score", class_scores.mode_score(fake.classes, real.classes), definition, fake.n)]


def am_score(real: Seen, fake: Seen) -> list[Result]:
    """The AM score of Zhou et al. (2018)."""
    assert real.classes is not None and fake.classes is not None
    definition = "divergence of the real classes from those of samples, plus their mean entropy, nats; lower is better"
    return [Result("AM_score", class_scores.am_score(fake.classes, real.classes), definition, fake.n, unit="nats")]


class Metric(NamedTuple):
    """figures(real, fake) -> Results that do not say their protocol. They are taken in `layer` and need of both sets
    `fewest` images, and these fields of Seen."""

    figures: Callable[[Seen, Seen], list[Result]]
    real: tuple[str, ...]
    fake: tuple[str, ...]
    fewest: int = 1
    layer: str = "features"


METRICS = {
    "fd": Metric(fd, ("moments",), ("moments", "rows"), 2),
    "fd_infinity": Metric(fd_infinity, ("moments",), ("rows",), 5014),
    "kid": Metric(kid, ("rows",), ("rows",), 3),
    "mmd": Metric(mmd, ("rows",), ("rows",), 3),
    "prdc": Metric(prdc, ("rows",), ("rows",), 6),
    "ipr": Metric(ipr, ("rows",), ("rows",), 4),
    "realism": Metric(realism, ("rows",), ("rows",), 4),
    "nn": Metric(nearest, ("rows",), ("rows",), 2),
    "vendi": Metric(diversity, (), ("rows",)),
    "is": Metric(scores, (), ("rows",), 1, "logits"),
    "mode_score": Metric(mode_score, ("classes",), ("classes",), 1, "logits"),
    "am_score": Metric(am_score, ("classes",), ("classes",), 1, "logits"),
}
