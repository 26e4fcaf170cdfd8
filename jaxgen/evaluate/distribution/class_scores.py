"""Scores from class probabilities that also look at the classes of real images, which the Inception Score does not.

p(y) is the mean of p(y|x) over generated images x, p*(y) over real ones.
"""

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgen.evaluate.distribution.inception_score import Sums, information, probabilities


def mode_score(generated: Sums, real: Sums) -> float:
    """exp(mean_x KL(p(y|x) || p(y)) - KL(p(y) || p*(y))), at most the Inception Score; higher is better

    Xu et al. (2018, 1806.07755). The form printed elsewhere, exp(mean_x KL(p(y|x) || p*) - KL(p || p*)), is the
    Inception Score itself.
    """
    return math.exp(information(generated) - divergence(generated, real))


def am_score(generated: Sums, real: Sums) -> float:
    """KL(p*(y) || p(y)) + mean_x H(p(y|x)) in nats, lower is better (Zhou et al. 2018, 1703.02000)."""
    return divergence(real, generated) - float(generated.p_log_p / generated.n)


class Errors(NamedTuple):
    """Standard errors over the samples of both sets; NaN where one lacks a class of the other."""

    mode_score: float
    am_score: float


def errors(generated: ArrayLike, real: ArrayLike) -> Errors:
    """Of the scores of logits [n, K] and [m, K], to first order (the delta method): a generated x moves the logarithm
    of the mode score by (-H(x) - p(y|x) . log(p^2 / p*)) / n and the AM score by (H(x) - p(y|x) . p* / p) / n, a real
    one by p*(y|x) . p / p* / m and p*(y|x) . log(p* / p) / m, each about its mean."""
    (p_of, minus_entropy), (q_of, _) = probabilities(generated), probabilities(real)
    p, q = p_of.mean(0), q_of.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(p) - np.log(q)
        mode = minus_entropy - p_of @ (np.log(p) + log), q_of @ (p / q)
        am = -minus_entropy - p_of @ (q / p), -q_of @ log
        mode_score, am_score = (np.sqrt(sum(part.var() / len(part) for part in parts)) for parts in (mode, am))
        score = np.exp(mode[0].mean())
    return Errors(float(score * mode_score), float(am_score))


def divergence(a: Sums, b: Sums) -> float:
    """KL(a || b) of the mean probabilities, infinite where b lacks a class of a."""
    if a.p.shape != b.p.shape:
        raise ValueError(f"scores compare the same classes, got {len(a.p)} and {len(b.p)}; use one network.")
    if not (np.isfinite(a.p).all() and np.isfinite(b.p).all()):
        raise ValueError("logits must be finite, got NaN or infinity; look at the samples.")
    p, q = a.p / a.n, b.p / b.n
    seen = p > 0
    with np.errstate(divide="ignore"):
        return float(p[seen] @ (np.log(p[seen]) - np.log(q[seen])))
