"""The Vendi score: how many different things there are among samples, without a reference."""

from typing import Any

import numpy as np

from jaxgen.evaluate.distribution.blocks import View, blocks, shape
from jaxgen.evaluate.distribution.kernel import unit
from jaxgen.evaluate.distribution.scan import check


def vendi(x: Any, q: float = 1.0) -> float:
    """(sum_i lambda_i^q)^(1 / (1 - q)), lambda the eigenvalues of K / n, K_ij = cos(x_i, x_j)

    The exponential of their Renyi entropy of order q (Friedman and Dieng 2023; Pasarkar and Dieng 2024):
    exp(-sum lambda log lambda) at q = 1, 1 / max lambda at q = inf; 1 where all samples are alike, n where all are
    orthogonal. Small q counts what is rare. x [n, d] is an array or read in blocks; the eigenvalues are those of the
    smaller of X X^T and X^T X, in float64. Raises ValueError for q < 0 and rows without a direction.
    """
    if not q >= 0:
        raise ValueError(f"the order of a Vendi score must be 0 or more, got {q}.")
    return order(positive(np.linalg.eigvalsh(gram(x))), q)


def order(values: np.ndarray, q: float) -> float:
    """The score of order q of these eigenvalues, ascending."""
    if q == 1:
        return float(np.exp(-values @ np.log(values)))
    if q == np.inf:
        return float(1 / values[-1])
    return float(np.sum(values**q) ** (1 / (1 - q)))


def vendi_error(x: Any, q: float = 1.0) -> float:
    """The standard error of the score V over the samples, to first order: one of them moves log V by -f(x) / n but for
    what all have in common,

        f(x) = q / (q - 1) x^T R^(q - 1) x / tr R^q,  x^T log(R) x at q = 1,   R = sum_i x_i x_i^T / n of unit rows
    """
    n = len(x)
    values, vectors = np.linalg.eigh(gram(x))
    values = positive(values)
    vectors = vectors[:, -len(values) :]
    if q == 1:
        weights = np.log(values)
    elif q == np.inf:
        weights = np.where(np.arange(len(values)) == len(values) - 1, 1 / values, 0)
    else:
        weights = q / (q - 1) * values ** (q - 1) / np.sum(values**q)
    if few(x):  # of eigenvectors u of K / n, x_i . v_j = sqrt(n lambda_j) u_ij
        moved = n * np.square(vectors) @ (values * weights)
    else:
        moved = np.concatenate([np.square(block @ vectors) @ weights for _, block in blocks(View(x, unit))])
    return float(order(values, q) * moved.std() / np.sqrt(n))


def gram(x: Any) -> np.ndarray:
    """The smaller of X X^T / n and X^T X / n, of unit rows: their positive eigenvalues are the same."""
    check(x)
    rows = View(x, unit)
    if few(x):
        whole = np.concatenate([block for _, block in blocks(rows)])
        return whole @ whole.T / len(x)
    return sum(block.T @ block for _, block in blocks(rows)) / len(x)


def few(x: Any) -> bool:
    """Whether there are no more rows than dimensions."""
    return bool(len(x) <= np.prod(shape(x)[1:]))


def positive(values: np.ndarray) -> np.ndarray:
    """Those of ascending eigenvalues that are not rounding."""
    return values[values > len(values) * np.finfo(float).eps * values[-1]]
