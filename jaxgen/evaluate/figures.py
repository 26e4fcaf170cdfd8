"""Two sets of images, seen by a network, in figures: the distribution metrics with what makes their numbers mean
something."""

import math
import warnings
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution import class_scores, kernel, neighbour_errors
from jaxgen.evaluate.distribution.blocks import blocks
from jaxgen.evaluate.distribution.fd_infinity import frechet_infinity
from jaxgen.evaluate.distribution.frechet import Moments, frechet, merge, moments
from jaxgen.evaluate.distribution.frechet_error import floor, influence, standard_error
from jaxgen.evaluate.distribution.inception_score import Sums, inception_score
from jaxgen.evaluate.distribution.neighbours import summary
from jaxgen.evaluate.distribution.prdc import shares
from jaxgen.evaluate.distribution.vendi import vendi, vendi_error
from jaxgen.evaluate.neighbourhood import Neighbourhood
from jaxgen.evaluate.result import Result

MANY = 10_000  # samples, with fewer of which a Fréchet distance is not comparable
FEWEST = 20  # samples that an error to first order is taken of
SPLIT = 10  # images that a split of an Inception Score has at least
BALLS = "a ball reaches the k-th nearest neighbour among its own kind"
LOGITS = "logits"  # the layer of a network whose softmax is a probability of each class
GROUPED = "± by a jackknife over groups of both sets, on the large side"
STILL = "no ±, as no tenth of either set changes the value when it is left out"


class Seen(NamedTuple):
    """What is known of one layer of a network over n images; None where no metric asks for it.

    moments: of the layer.
    rows:    the layer itself [n, d], an array or rows that are read in blocks.
    classes: sums of class probabilities, where the layer is logits.
    role:    what names of figures call the images: "real", or "train" where the others are of a model that was trained
             on them.
    """

    n: int
    moments: Moments | None = None
    rows: Any = None
    classes: Sums | None = None
    role: str = "real"


def fd(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The Fréchet distance (Heusel et al. 2017, eq. 6), with its error where the samples are at hand."""
    assert real.moments is not None and fake.moments is not None
    value, d = frechet(fake.moments, real.moments), len(fake.moments.s)
    said = [f"Fréchet distance of Gaussian fits to {d} features, ddof 1; biased upwards by about 1/n"]
    if d < fake.n < MANY:
        bias = floor(real.moments, fake.n)
        said.append(f"{fake.n:,} samples of the reference's own Gaussian have about {bias:.3g}")
        warnings.warn(
            f"the Fréchet distance of {fake.n:,} samples, {value:.4g}, is too large, by about the {bias:.3g} that as "
            f"many samples of the reference itself would have: take {MANY:,} or more (papers take 50,000), or compare "
            "it with those of equally many alone.",
            stacklevel=2,
        )
    if min(real.moments.n, fake.moments.n) <= d:
        said.append("far too large, as there are no more images than features")
    error = None
    if fake.rows is not None and fake.n >= FEWEST:
        error = standard_error(influence(fake.rows, fake.moments, real.moments))
        said.append("± over the samples, to first order, the reference held")
    return [Result("FD", value, "; ".join(said), fake.n, error)]


def moments_of(rows: Any, chosen: np.ndarray) -> Moments:
    """Moments of the rows with the indices `chosen`, read in blocks."""
    taken = np.zeros(len(rows), bool)
    taken[chosen] = True
    parts = (block[taken[start : start + len(block)]] for start, block in blocks(rows))
    return reduce(merge, (moments(part) for part in parts if len(part)))


def prdc(real: Seen, fake: Seen, near: Neighbourhood, k: int = 5) -> list[Result]:
    """Precision, recall, density and coverage (Kynkaanniemi et al. 2019; Naeem et al. 2020)."""
    found = shares(near.membership(k), k)
    of = (
        (f"share of samples inside some real image's ball, k = {k}; {BALLS}", fake.n),
        (f"share of real images inside some sample's ball, k = {k}", real.n),
        (f"mean number of real images' balls that hold a sample, over k = {k}", fake.n),
        (f"share of real images whose ball holds a sample, k = {k}", real.n),
    )
    errors = over_groups(lambda table: neighbour_errors.prdc(table, k), real, fake)
    named = zip(found._asdict().items(), of, errors, strict=True)
    return [Result(name, value, f"{said}; {how}", n, error) for (name, value), (said, n), (error, how) in named]


def ipr(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """Improved precision and recall with the paper's k = 3 (Kynkaanniemi et al. 2019)."""
    return [found._replace(name=f"improved_{found.name}") for found in prdc(real, fake, near, 3)[:2]]


def over_groups(
    statistic: Callable[[neighbour_errors.Table], np.ndarray], real: Seen, fake: Seen
) -> list[tuple[float | None, str]]:
    """Standard errors of what neighbours say of both sets, and how they were taken, or None and why there is none."""
    errors = neighbour_errors.standard_errors(statistic, real.rows, fake.rows)
    if errors is None:
        return [(None, f"no ± of fewer than {2 * neighbour_errors.GROUPS} images")] * 4
    return [(None, STILL) if np.isnan(error) else (float(error), GROUPED) for error in errors]


def nearest(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """How near samples are to real images, beside these among themselves: the check for copies."""
    closest, own = summary(*near.across), summary(*near.among_real)
    (middle, of_middle), (low, of_low), *_ = over_groups(neighbour_errors.proximity, real, fake)
    return [
        Result(
            f"nearest_{real.role}_median",
            closest.median,
            "median distance from a sample to its nearest real image; much less than the "
            f"{own.median:.3f} among the real images themselves (leave one out) is memorising; {of_middle}",
            fake.n,
            middle,
        ),
        Result(
            f"nearest_{real.role}_p05",
            closest.p05,
            f"5th percentile of that distance; {own.p05:.3f} among the real images themselves; {of_low}",
            fake.n,
            low,
        ),
        Result("copies", closest.copies, "samples equal to a real image, a count of these samples", fake.n),
    ]


def fd_infinity(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The Fréchet distance of infinitely many samples (Chong and Forsyth 2020)."""
    assert real.moments is not None
    found = frechet_infinity(fake.rows, real.moments)
    definition = (
        f"Fréchet distance extrapolated to infinitely many samples over {len(found.sizes)} numbers of them from "
        f"{found.sizes[0]:,.0f} on, linear in 1/n; ± over the samples and the draws of them, to first order"
    )
    return [Result("FD_infinity", found.value, definition, fake.n, found.error)]


def kid(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The kernel distance (Binkowski et al. 2018), of subsets as published and of all pairs."""
    size = min(1000, real.n, fake.n)
    subsets, whole = kernel.kid(fake.rows, real.rows, size=size), kernel.kid_full(fake.rows, real.rows)
    of = "unbiased MMD^2 with the kernel (x . y / d + 1)^3"
    return [
        Result(
            "KID",
            subsets.mean,
            f"{of}, mean of 100 pairs of subsets of {size}, seed 2020, whose standard deviation "
            f"is {subsets.std:.3g}; may be negative; ± is that of KID_full, of all pairs",
            fake.n,
            whole.error,
        ),
        Result("KID_full", whole.value, f"{of}, of all pairs; ± by a jackknife over both sets", fake.n, whole.error),
    ]


def mmd(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The kernel distance of CMMD (Jayasumana et al. 2024)."""
    found = kernel.cmmd(real.rows, fake.rows)
    definition = "1000 MMD^2 of unit rows with a Gaussian kernel of width 10, biased; ± by a jackknife over both sets"
    return [Result("MMD", found.value, definition, fake.n, found.error)]


def realism(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """Realism of the samples (Kynkaanniemi et al. 2019, eq. 3)."""
    found = near.realism
    inside = "largest ratio of a real image's ball, k = 3, the smaller half of them, to the distance from it"
    (middle, of_middle), (share, of_share), *_ = over_groups(neighbour_errors.realism, real, fake)
    return [
        Result(
            "realism_median",
            float(np.median(found)),
            f"median over samples of the {inside}; {of_middle}",
            fake.n,
            middle,
        ),
        Result(
            "realistic",
            float((found >= 1).mean()),
            f"share of samples of realism 1 or more, {inside}; {of_share}",
            fake.n,
            share,
        ),
    ]


def diversity(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """Vendi scores of the samples by themselves (Friedman and Dieng 2023)."""
    of = "effective number of different samples, by the cosines of their features"
    kinds = (
        ("Vendi", 1, "exp of the entropy of the eigenvalues, at most n"),
        ("Vendi_inf", math.inf, "1 over the largest eigenvalue"),
    )
    return [
        Result(name, vendi(fake.rows, q), f"{of}: {said}", fake.n, vendi_error(fake.rows, q)) for name, q, said in kinds
    ]


def scores(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The Inception Score of all images at once (Salimans et al. 2016), and of ten parts as torch-fidelity has it."""
    whole = inception_score(fake.rows)
    of = f"exp of the mutual information of image and class, {np.shape(fake.rows)[1]} classes"
    found = [Result("IS", whole.mean, f"{of}, in one split", fake.n, whole.error)]
    if fake.n >= 10 * SPLIT:
        parts = inception_score(fake.rows, 10, 2020)
        definition = f"{of}, mean of ten splits, seed 2020, whose standard deviation is {parts.std:.3g}"
        found.append(Result("IS_10", parts.mean, definition, fake.n, parts.error))
    return found


def mode_score(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The mode score of Xu et al. (2018)."""
    assert real.classes is not None and fake.classes is not None
    definition = (
        "exp of the mutual information of image and class less the divergence of the classes from the real ones"
    )
    value = class_scores.mode_score(fake.classes, real.classes)
    error = class_scores.errors(fake.rows, real.rows).mode_score
    return [Result("mode_score", value, definition, fake.n, finite(error))]


def am_score(real: Seen, fake: Seen, near: Neighbourhood) -> list[Result]:
    """The AM score of Zhou et al. (2018)."""
    assert real.classes is not None and fake.classes is not None
    definition = "divergence of the real classes from those of samples, plus their mean entropy, nats; lower is better"
    value = class_scores.am_score(fake.classes, real.classes)
    error = class_scores.errors(fake.rows, real.rows).am_score
    return [Result("AM_score", value, definition, fake.n, finite(error), unit="nats")]


def finite(error: float) -> float | None:
    return error if math.isfinite(error) else None


class Metric(NamedTuple):
    """figures(real, fake, neighbours of both) -> Results that do not say their protocol. They are taken in `layer`, or
    in another one unless that is LOGITS, and need of both sets `fewest` images, and these fields of Seen; `errors` are
    those of the generated set that their errors need besides, where there are images."""

    figures: Callable[[Seen, Seen, Neighbourhood], list[Result]]
    real: tuple[str, ...]
    fake: tuple[str, ...]
    fewest: int = 1
    layer: str = "features"
    errors: tuple[str, ...] = ()


METRICS = {
    "fd": Metric(fd, ("moments",), ("moments",), 2, errors=("rows",)),
    "fd_infinity": Metric(fd_infinity, ("moments",), ("rows",), 5014),
    "kid": Metric(kid, ("rows",), ("rows",), 3),
    "mmd": Metric(mmd, ("rows",), ("rows",), 3),
    "prdc": Metric(prdc, ("rows",), ("rows",), 6),
    "ipr": Metric(ipr, ("rows",), ("rows",), 4),
    "realism": Metric(realism, ("rows",), ("rows",), 4),
    "nn": Metric(nearest, ("rows",), ("rows",), 2),
    "vendi": Metric(diversity, (), ("rows",)),
    "is": Metric(scores, (), ("rows",), 1, LOGITS),
    "mode_score": Metric(mode_score, ("classes", "rows"), ("classes", "rows"), 1, LOGITS),
    "am_score": Metric(am_score, ("classes", "rows"), ("classes", "rows"), 1, LOGITS),
}
