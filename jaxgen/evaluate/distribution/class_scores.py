"""Scores from class probabilities that also look at the classes of real images, which the Inception Score does not.

p(y) is the mean of p(y|x) over generated images x, p*(y) over real ones.
"""

import math

import numpy as np

from jaxgen.evaluate.distribution.inception_score import Sums, information


def mode_score(generated: Sums, real: Sums) -> float:
    """exp(mean_x KL(p(y|x) || p(y)) - KL(p(y) || p*(y))), at most the Inception Score; higher is better

    Xu et al. (2018, 1806.07755). The form printed elsewhere, exp(mean_x KL(p(y|x) || p*) - KL(p || p*)), is the
    Inception Score itself.
    """
    return math.exp(information(generated) - divergence(generated, real))


def am_score(generated: Sums, real: Sums) -> float:
    """KL(p*(y) || p(y)) + mean_x H(p(y|x)) in nats, lower is better (Zhou et al. 2018, 1703.02000)."""
    return divergence(real, generated) - float(generated.p_log_p / generated.n)


def divergence(a: Sums, b: Sums) -> float:
    """KL(a || b) of the mean probabilities, infinite where b lacks a class of a."""
    if a.p.shape != b.p.shape:
        raise ValueError(f"scores compare the same classes, got {len(a.p)} and {len(b.p)}; use one network.")
    p, q = a.p / a.n, b.p / b.n
    seen = p > 0
    with np.errstate(divide="ignore"):
        return float(p[seen] @ (np.log(p[seen]) - np.log(q[seen])))
