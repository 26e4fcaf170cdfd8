"""The Inception Score: how sure a classifier is of each sample, and how many classes it sees in all of them."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike


class InceptionScore(NamedTuple):
    """Mean and standard deviation (ddof 0) over the splits."""

    mean: float
    std: float


def inception_score(logits: ArrayLike, splits: int = 1) -> InceptionScore:
    """exp(mean_x KL(p(y|x) || p(y))), p(y|x) = softmax(logits [n, K]), p(y) its mean over x

    Salimans et al. (2016), section 4, of each of `splits` consecutive parts [i n / splits, (i + 1) n / splits). One
    split, the default, is what NCSN++ and tfgan report; the paper's ten on the same samples score lower. Parts follow
    the order of the rows: permute samples that come class by class. Computed in float64 from log-probabilities, so that
    no class is too rare. Raises ValueError on another shape, non-finite logits or fewer rows than splits.
    """
    x = np.asarray(logits, np.float64)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ValueError(f"logits must be a finite, non-empty [n, classes] array, got shape {x.shape}.")
    if not 1 <= splits <= len(x):
        raise ValueError(f"the splits of {len(x)} samples must be 1 to {len(x)}, got {splits}.")
    edges = np.arange(splits + 1) * len(x) // splits
    scores = [np.exp(_information(x[a:b])) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _information(logits: np.ndarray) -> float:
    """mean_x sum_y p(y|x) (log p(y|x) - log p(y)), the mutual information of sample and class in nats."""
    log_p = logits - logits.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    p = np.exp(log_p)
    marginal = p.mean(0)
    seen = marginal[marginal > 0]
    return float((p * log_p).sum(1).mean() - seen @ np.log(seen))
