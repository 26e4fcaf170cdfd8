"""Upsample, filter, downsample: the one operation behind every FIR resampler.

    y[n] = sum_i h[i] u[d n + L - 1 - i - p],    u[k] = x[k / up] where up divides k and 0 elsewhere

with L taps h, d = `down` and p zeros before u (negative p crops u). Output n meets only the taps whose index leaves the
right remainder by `up`, so outputs fall into phases, each a short filter of its own that touches no inserted zero, and
the phases are interleaved. A filter is a sum of shifted slices, which XLA fuses into one pass; as a depthwise
convolution it is ten to a hundred times slower on a CPU.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B; Vaidyanathan 1993,
"Multirate Systems and Filter Banks", section 4.3 (polyphase decomposition).
"""

import functools
import math
import operator
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike


def upfirdn2d(
    x: Array,
    kernel: ArrayLike,
    up: int | tuple[int, int] = 1,
    down: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] = 0,
    flip: bool = False,
    gain: float = 1.0,
) -> Array:
    """Both axes of x [B, H, W, C]: -> [B, (H up + pads - taps) // down + 1, likewise, C].

    kernel: constant taps [L] of both axes, or [Lv, Lh], which is a sum of as many separable filters as its rank.
    up, down: one factor, or (vertical, horizontal). padding: of the upsampled image, one number, (before, after), or
    ((top, bottom), (left, right)); negative numbers crop. flip: correlate with the kernel instead of convolving.
    gain: of the whole kernel. Raises ValueError where the kernel is longer than the padded image.
    """
    taps = np.asarray(kernel, float) * gain ** (np.ndim(kernel) / 2)
    taps = taps if flip else np.flip(taps)
    ups, downs = np.broadcast_to(up, 2).tolist(), np.broadcast_to(down, 2).tolist()
    pads = np.broadcast_to(padding, (2, 2)).tolist()
    terms = []
    for pair in [(taps, taps)] if taps.ndim == 1 else _separable(taps):
        y = x
        for axis in (1, 2):
            y = _polyphase(y, pair[axis - 1].tolist(), axis, ups[axis - 1], downs[axis - 1], *pads[axis - 1])
        terms.append(y)
    return functools.reduce(operator.add, terms)


def _separable(kernel: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """kernel = sum of outer(vertical, horizontal), from its singular value decomposition."""
    u, s, v = np.linalg.svd(kernel)
    rank = max(int(np.linalg.matrix_rank(kernel)), 1)
    return [(s[r] * u[:, r], v[r]) for r in range(rank)]


def _polyphase(x: Array, taps: Sequence[float], axis: int, up: int, down: int, before: int, after: int) -> Array:
    """y[n] = sum_i taps[i] u[down n + i - before] along one axis."""
    padded = x.shape[axis] * up + before + after
    size = (padded - len(taps)) // down + 1
    if size < 1:
        raise ValueError(
            f"expected at most as many taps as the {padded} padded samples of axis {axis}, got {len(taps)}; "
            "pad the image or use a shorter filter"
        )
    phases, stride = up // math.gcd(up, down), down // math.gcd(up, down)
    count = -(-size // phases)
    parts = []
    for phase in range(phases):
        first = (before - down * phase) % up
        parts.append(_fir(x, taps[first::up] or [0.0], axis, (down * phase + first - before) // up, stride, count))
    if phases == 1:
        return parts[0]
    shape = [phases * count if i == axis else n for i, n in enumerate(x.shape)]
    return lax.slice_in_dim(jnp.stack(parts, axis + 1).reshape(shape), 0, size, axis=axis)


def _fir(x: Array, taps: Sequence[float], axis: int, start: int, stride: int, count: int) -> Array:
    """y[n] = sum_i taps[i] x[start + stride n + i] along one axis, n < count; x is zero outside."""
    last = stride * (count - 1)
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (-start, start + last + len(taps) - x.shape[axis], 0)
    x = lax.pad(x, jnp.zeros((), x.dtype), padding)
    terms = (tap * lax.slice_in_dim(x, i, i + last + 1, stride=stride, axis=axis) for i, tap in enumerate(taps))
    return functools.reduce(operator.add, terms)
