"""Resizing rules of published protocols, which differ by whole percents of a Fréchet distance."""

import jax.numpy as jnp
import numpy as np
from jax import Array


def tf1_bilinear(x: Array, height: int, width: int) -> Array:
    """y[i, j] = x(i H / height, j W / width), bilinear between the pixels of x: [B, H, W, C] -> [B, height, width, C].

    The rule of TensorFlow 1 (`align_corners=False`): the top left pixel stays where it is, no half-pixel centres, no
    antialiasing; beyond the last pixel it is repeated. Float in, float out.
    """
    for axis, size in ((1, height), (2, width)):
        last = x.shape[axis] - 1
        position = np.arange(size, dtype=np.float32) * np.float32(x.shape[axis] / size)
        low = np.minimum(position.astype(int), last)
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        part = jnp.asarray(position - low, x.dtype).reshape(shape)
        before, after = jnp.take(x, low, axis), jnp.take(x, np.minimum(low + 1, last), axis)
        x = before + part * (after - before)
    return x
