"""What a figure must carry to mean something: its definition, how many samples, how sure."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Result(NamedTuple):
    """One figure. `error` is a standard error in the unit of `value`, `n` how many samples it rests on.

    `protocol` is what it shares with others: which features, against what. Figures agree only within one, and where the
    `layer` of the network, the sha256 of its `weights` and the float type `dtype` that it computed in are the same.
    """

    name: str
    value: float
    definition: str
    n: int
    error: float | None = None
    unit: str = ""
    protocol: str = ""
    layer: str = ""
    weights: str = ""
    dtype: str = ""


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Mean of `values` [B], one a sample, and its standard error std / sqrt(B) (ddof 1)."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(
            f"a mean with its error needs at least 2 finite values [B], got shape {values.shape} with {bad} not finite."
        )
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
