"""How sure a Fréchet distance is: its standard error over the samples, and how large it is for perfect ones."""

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from jaxgen.evaluate.distribution.blocks import blocks
from jaxgen.evaluate.distribution.frechet import Moments, covariance, pivoted


def influence(rows: Any, a: Moments, b: Moments) -> np.ndarray:
    """What each of the n features `rows` [n, d], whose moments are `a`, adds to n times their Fréchet distance from b:

        psi(x) = 2 (mu_a - mu_b) . c + |c|^2 - c^T T c - mean,   c = x - mu_a,   T = S_a^-1 # S_b

    [n], to first order; T is the linear map of optimal transport, T S_a T = S_b, as the derivative of
    tr (S_a S_b)^(1/2) by S_a is T / 2. With S_a = F_a F_a^T, F_a^T F_b = U diag(s) V^T and c = F_a z,
    c^T T c = sum_k s_k (U^T z)_k^2. One pass over the rows, which are an array or read in blocks.
    """
    lower, order = pivoted(covariance(a), a.n)
    rank = lower.shape[1]
    other, other_order = pivoted(covariance(b), b.n)
    factor = np.empty_like(other)
    factor[other_order] = other
    overlap = lower.T @ factor[order]
    values, u = np.linalg.eigh(overlap @ overlap.T)
    turn = u * np.maximum(values, 0) ** 0.25
    mean = a.shift + a.s / a.n
    apart = mean - (b.shift + b.s / b.n)
    found = np.empty(len(rows))
    for start, block in blocks(rows):
        c = np.reshape(block, (len(block), -1)) - mean
        z = solve_triangular(lower[:rank], c[:, order[:rank]].T, lower=True)
        moved = np.square(turn.T @ z).sum(0)
        found[start : start + len(c)] = 2 * c @ apart + np.square(c).sum(1) - moved
    return found - found.mean()


def standard_error(psi: np.ndarray) -> float:
    """sqrt(mean psi^2 / n), of the `influence` [n] of a distance: the infinitesimal jackknife (Jaeckel 1972)."""
    return float(np.sqrt(np.square(psi).mean() / len(psi)))


def floor(m: Moments, n: float) -> float:
    """The Fréchet distance that n samples of the Gaussian itself whose moments are m have on average, to first order

        (tr S + 1/4 tr S + 1/2 sum_ij l_i l_j / (l_i + l_j)) / n,   l the eigenvalues of S

    the scatter of the mean, and of S in the second derivative of the distance at S. Of features that are not Gaussian
    it is an estimate, and for n <= d far too large.
    """
    values = np.maximum(np.linalg.eigvalsh(covariance(m)), 0)
    total = np.maximum(values[:, None] + values, np.finfo(float).tiny)
    return float(1.25 * values.sum() + 0.5 * (np.outer(values, values) / total).sum()) / n
