"""What people said of two systems on sheets: which they prefer, and how sure that is.

    share won = wins of a / (wins of a + wins of b),   preference = mean over prompts of (wins + ties / 2) / ratings

The first has the interval of Wilson (1927), which takes every rating as independent; the second that of Korn and
Graubard (1998) over prompts, which holds with several raters and seeds per prompt, too, and with few prompts.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, stdtrit

from jaxgen.evaluate.prompts.document import read_json

Z95 = 1.959963984540054  # the 97.5% quantile of the standard normal
POINTS = {"left": 1.0, "equal": 0.5, "right": 0.0}  # of the image on the left


class Rating(NamedTuple):
    """The answer of one rater to one question on one pair: `score` 1 where a is preferred, 0 where b, 1/2 neither;
    `left` whether a was on the left."""

    rater: str
    question: str
    prompt: str
    category: str
    challenge: str
    seed: int
    left: bool
    score: float


class Interval(NamedTuple):
    """A figure and the 95% interval around it."""

    value: float
    low: float
    high: float


class Preference(NamedTuple):
    """Of the ratings of one question: how many preferred a, neither and b, of how many prompts. `won` is None where no
    rating was decided, `preference` of one prompt has the interval [0, 1]."""

    wins: int
    ties: int
    losses: int
    prompts: int
    won: Interval | None
    preference: Interval


def read_ratings(paths: Sequence[str | os.PathLike]) -> tuple[tuple[str, str], list[Rating]]:
    """The two systems (a, b), and the ratings in all files that sheets of these two gave.

    Raises ValueError, naming the file, where it is none, is of other systems, or rates a pair that the same rater rated
    in a file before.
    """
    systems: tuple[str, str] | None = None
    found: dict[tuple, tuple[Rating, Any]] = {}
    for path in paths:
        known, ratings = parse(Path(path))
        systems = systems or known
        if {*known} != {*systems}:
            raise ValueError(f"{path} compares {' and '.join(known)}, the files before {' and '.join(systems)}.")
        for rating in ratings:
            if known != systems:
                rating = rating._replace(left=not rating.left, score=1 - rating.score)
            one = rating.rater, rating.question, rating.prompt, rating.seed
            if one in found:
                raise ValueError(
                    f"{path} rates {rating.prompt[:60]!r} by {rating.rater} again, after {found[one][1]}: give one of "
                    "the two files, or tell two people apart by name."
                )
            found[one] = rating, path
    if systems is None or not found:
        raise ValueError("there are no ratings in these files: rate a pair and download again.")
    return systems, [rating for rating, _ in found.values()]


def parse(path: Path) -> tuple[tuple[str, str], list[Rating]]:
    """The systems and the ratings in one file: of every pair the questions that were answered."""
    try:
        document = read_json(path)
        if document["format"] != "jaxgen ratings":
            raise KeyError(document["format"])
        a, b = map(text_of, document["systems"])
        if a == b:
            raise ValueError(a)
        ratings = []
        for item in document["ratings"]:
            if {item["left"], item["right"]} != {a, b} or type(item["seed"]) is not int:
                raise KeyError(item["left"])
            prompt, category, challenge = (text_of(item[name]) for name in ("prompt", "category", "challenge"))
            left, rater = item["left"] == a, text_of(document["rater"])
            for question in document["questions"]:
                if question in item:
                    points = POINTS[item[question]]
                    score = points if left else 1 - points
                    ratings.append(Rating(rater, question, prompt, category, challenge, item["seed"], left, score))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a file of ratings as a sheet gives it: download it again.") from error
    return (a, b), ratings


def text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def wilson(wins: int, n: int) -> Interval:
    """(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), p = wins / n: the score interval of Wilson
    (1927) at 95%."""
    if n < 1:
        raise ValueError("an interval of a share needs at least one rating, got none.")
    p, unsure = wins / n, Z95**2 / n
    centre, half = p + unsure / 2, Z95 * (p * (1 - p) / n + unsure / (4 * n)) ** 0.5
    return Interval(p, max(0.0, (centre - half) / (1 + unsure)), min(1.0, (centre + half) / (1 + unsure)))


def over_prompts(values: ArrayLike, ratings: int) -> Interval:
    """The mean p of `values` [n] in [0, 1], one a prompt, and its 95% interval by Korn and Graubard (1998, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey data", eq. 2-3).

        m = p (1 - p) / (s^2 / n) (z / t_{n - 1})^2,   low = B_{0.025}(m p, m (1 - p) + 1),
                                                       high = B_{0.975}(m p + 1, m (1 - p))

    The limits of Clopper and Pearson for m ratings, the number of independent ones that would be as sure, at most all
    `ratings`; without spread, which says nothing of how large it is, for n. The interval of one value is [0, 1].
    """
    x = np.asarray(values, np.float64)
    n, p, spread = len(x), float(x.mean()), float(np.ptp(x))
    if n == 1:
        return Interval(p, 0.0, 1.0)
    m = float(n)
    if spread > 1e-9:
        m = min(ratings, p * (1 - p) * n / float(x.var(ddof=1)) * (Z95 / float(stdtrit(n - 1, 0.975))) ** 2)
    won, lost = m * p, m * (1 - p)
    low = float(betaincinv(won, lost + 1, 0.025)) if won > 0 else 0.0
    high = float(betaincinv(won + 1, lost, 0.975)) if lost > 0 else 1.0
    return Interval(p, low, high)


def summarize(ratings: Sequence[Rating]) -> Preference:
    """Of the ratings of one question."""
    wins, losses = (sum(rating.score == end for rating in ratings) for end in (1, 0))
    of_prompt = grouped(ratings, lambda rating: rating.prompt).values()
    return Preference(
        wins,
        len(ratings) - wins - losses,
        losses,
        len(of_prompt),
        wilson(wins, wins + losses) if wins + losses else None,
        over_prompts([np.mean([rating.score for rating in some]) for some in of_prompt], len(ratings)),
    )


def left_share(ratings: Sequence[Rating]) -> Interval | None:
    """How often the image on the left was preferred, of decided ratings: far from 1/2 if raters favour a side."""
    decided = [rating.left == (rating.score == 1) for rating in ratings if rating.score != 0.5]
    return wilson(sum(decided), len(decided)) if decided else None


def agreement(ratings: Sequence[Rating]) -> float | None:
    """The share of equal answers among all pairs of raters of the same pair of images; None where nobody shares one."""
    of_pair = grouped(ratings, lambda rating: (rating.question, rating.prompt, rating.seed)).values()
    equal = [x.score == y.score for some in of_pair for x, y in combinations(some, 2)]
    return float(np.mean(equal)) if equal else None


def grouped(ratings: Iterable[Rating], name: Callable[[Rating], Any]) -> dict[Any, list[Rating]]:
    """The ratings of each name, in the order in which the names come."""
    found = defaultdict(list)
    for rating in ratings:
        found[name(rating)].append(rating)
    return dict(found)
