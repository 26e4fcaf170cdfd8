"""Figures by name, as a step gives them and as Python floats."""

from collections.abc import Mapping

import jax
import numpy as np
from numpy.typing import ArrayLike

Scalars = Mapping[str, ArrayLike]


def to_floats(values: Scalars) -> dict[str, float]:
    """Every scalar as a Python float, fetched from its device in one go."""
    fetched = jax.device_get(dict(values))
    for name, value in fetched.items():
        if np.size(value) != 1:
            raise ValueError(f"metric {name!r} must be a scalar, got shape {np.shape(value)}; reduce it first.")
    return {name: float(np.reshape(value, ())) for name, value in fetched.items()}
