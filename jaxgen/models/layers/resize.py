"""Resizing of NHWC images to any size, one linear map along each side: means over areas, interpolation, and filters
that are as wide as what they leave out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def area_weights(old: int, new: int) -> np.ndarray:
    """[new, old]: output i is the mean of the inputs from floor(i old/new) to ceil((i + 1) old/new)."""
    at, i = np.arange(old), np.arange(new)[:, None]
    inside = (at >= i * old // new) & (at < -(-(i + 1) * old // new))
    return inside / inside.sum(1, keepdims=True)


def cubic_weights(old: int, new: int, a: float = -0.75, offset: float = 0.0) -> np.ndarray:
    """[new, old]: output i lies at (i + 1/2) old/(new + offset) - 1/2, between four inputs, of which those beyond the
    border are the one at it. The kernel is that of Keys 1981, "Cubic Convolution Interpolation for Digital Image
    Processing", eq. (15) with its parameter `a`."""
    position = (np.arange(new) + 0.5) * old / (new + offset) - 0.5
    first = np.floor(position).astype(int) - 1
    weights = np.zeros((new, old))
    for tap in range(4):
        near = np.clip(first + tap, 0, old - 1)
        np.add.at(weights, (np.arange(new), near), keys(position - first - tap, a))
    return weights


def linear_weights(old: int, new: int) -> np.ndarray:
    """[new, old]: output i lies at (i + 1/2) old/new - 1/2, between two inputs; beyond the border is the one at it."""
    position = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(old)))


def filtered_weights(kernel: Callable[[np.ndarray], np.ndarray], old: int, new: int) -> np.ndarray:
    """[new, old]: output i is the mean of the inputs j around it with weights kernel((j + 1/2 - c) / s), where
    c = (i + 1/2) old/new and s = max(1, old/new): without aliasing where the image shrinks."""
    centre = (np.arange(new)[:, None] + 0.5) * old / new
    weights = kernel((np.arange(old) + 0.5 - centre) / max(1, old / new))
    return weights / weights.sum(1, keepdims=True)


def keys(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys's cubic kernel, 1 at 0 and 0 at all other integers and beyond 2; its third-order form by default."""
    d = np.abs(x)
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def triangle(x: np.ndarray) -> np.ndarray:
    """The kernel of linear interpolation."""
    return np.maximum(0, 1 - np.abs(x))


def resized(weights: Callable[[int, int], np.ndarray], x: Array, height: int, width: int) -> Array:
    """[B, H, W, C] -> [B, height, width, C] by `weights` along both sides. Float in, float out."""
    rows, columns = (jnp.asarray(weights(*sizes), x.dtype) for sizes in zip(x.shape[1:3], (height, width), strict=True))
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, x, precision=jax.lax.Precision.HIGHEST)
