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
    check(x)
    if not q >= 0:
        raise ValueError(f"the order of a Vendi score must be 0 or more, got {q}.")
    n = len(x)
    rows = View(x, unit)
    if n <= np.prod(shape(x)[1:]):
        whole = np.concatenate([block for _, block in blocks(rows)])
        gram = whole @ whole.T
    else:
        gram = sum(block.T @ block for _, block in blocks(rows))
    values = np.linalg.eigvalsh(gram / n)
    values = values[values > len(values) * np.finfo(float).eps * values[-1]]
    if q == 1:
        return float(np.exp(-values @ np.log(values)))
    if q == np.inf:
        return float(1 / values[-1])
    return float(np.sum(values**q) ** (1 / (1 - q)))
