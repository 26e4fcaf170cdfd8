"""The Inception Score: how sure a classifier is of each sample, and how many classes it sees in all of them."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike


class Sums(NamedTuple):
    """Of n images: the sum [K] of their p(y|x), and that of sum_y p(y|x) log p(y|x). They add up over batches."""

    n: np.ndarray | np.floating
    p: np.ndarray
    p_log_p: np.ndarray | np.floating


class InceptionScore(NamedTuple):
    """Mean and standard deviation (ddof 0) over the splits, and the standard error of the mean over samples."""

    mean: float
    std: float
    error: float


def inception_score(logits: ArrayLike, splits: int = 1, shuffle: int | None = None) -> InceptionScore:
    """exp(mean_x KL(p(y|x) || p(y))), p(y|x) = softmax(logits [n, K]), p(y) its mean over x

    Salimans et al. (2016), section 4, of each of `splits` consecutive parts [i n / splits, (i + 1) n / splits). One
    split, the default, is what NCSN++ and tfgan report; the paper's ten on the same samples score lower. Parts follow
    the order of the rows, or with `shuffle` that of NumPy's RandomState(shuffle): torch-fidelity's score is that of
    splits = 10, shuffle = 2020. Computed in float64 from log-probabilities, so that no class is too rare.
    Raises ValueError on another shape, non-finite logits or fewer rows than splits.
    """
    x = np.asarray(logits)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ValueError(f"logits must be a finite, non-empty [n, classes] array, got shape {x.shape}.")
    if not 1 <= splits <= len(x):
        raise ValueError(f"the splits of {len(x)} samples must be 1 to {len(x)}, got {splits}.")
    order = np.arange(len(x)) if shuffle is None else np.random.RandomState(shuffle).permutation(len(x))
    edges = np.arange(splits + 1) * len(x) // splits
    parts = [divergences(x[order[a:b]]) for a, b in pairwise(edges)]
    scores = [np.exp(part.mean()) for part in parts]
    # of the mean over x alone, as to first order p(y) has no part in it (the delta method)
    variance = sum((score * part.std()) ** 2 / len(part) for score, part in zip(scores, parts, strict=True))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), float(np.sqrt(variance) / splits))


def divergences(logits: np.ndarray) -> np.ndarray:
    """KL(p(y|x) || p(y)) of each x, [n] nats."""
    p, p_log_p = probabilities(logits)
    return p_log_p - p @ np.log(np.maximum(p.mean(0), np.finfo(float).tiny))


def probabilities(logits: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """p(y|x) of logits [n, K], and sum_y p(y|x) log p(y|x), [n]; float64."""
    logits = np.asarray(logits)
    x = np.subtract(logits, logits.max(1, keepdims=True), dtype=np.float64)
    p = np.exp(x)
    total = p.sum(1, keepdims=True)
    p /= total
    return p, np.einsum("nk,nk->n", p, x) - np.log(total[:, 0])


def sums(logits: ArrayLike) -> Sums:
    """Of finite logits [n, K]."""
    p, p_log_p = probabilities(logits)
    return Sums(np.float64(len(p)), p.sum(0), p_log_p.sum())


def add(a: Sums, b: Sums) -> Sums:
    """The sums of all the images of both."""
    return Sums(a.n + b.n, a.p + b.p, a.p_log_p + b.p_log_p)


def information(s: Sums) -> float:
    """mean_x sum_y p(y|x) (log p(y|x) - log p(y)), the mutual information of image and class in nats."""
    marginal = s.p / s.n
    seen = marginal[marginal > 0]
    return float(s.p_log_p / s.n - seen @ np.log(seen))
