"""Colors of an image moved by a linear map about the axis of grays, v = (1, 1, 1)/sqrt 3.

    y = c S R F (x + b),    F = I - 2 f v v^T,    R = rotation about v by theta,    S = v v^T + s (I - v v^T)

Brightness b, contrast c, luma flip f in {0, 1}, hue theta in radians, saturation s. Only F moves grays, so an image of
one channel becomes c (1 - 2f) (x + b).
Source: Karras et al. 2020 (2006.06676), appendix B.1, algorithm 1.
"""

import jax.numpy as jnp
from jax import Array


def recolor(x: Array, brightness: Array, contrast: Array, flip: Array, hue: Array, saturation: Array) -> Array:
    """x: [H, W, C] in [-1, 1], C = 1 or 3; the others: scalars."""
    channels = x.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"colors are augmented in images of 1 or 3 channels, got {channels}; leave them out.")
    identity = jnp.eye(3, dtype=x.dtype)
    gray = jnp.full((3, 3), 1 / 3, x.dtype)
    cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], x.dtype) / jnp.sqrt(jnp.asarray(3, x.dtype))
    flipped = identity - 2 * flip * gray
    turned = jnp.cos(hue) * identity + (1 - jnp.cos(hue)) * gray + jnp.sin(hue) * cross
    saturated = gray + saturation * (identity - gray)
    matrix = contrast * jnp.linalg.multi_dot([saturated, turned, flipped], precision="highest")
    if channels == 1:
        return jnp.sum(matrix) / 3 * (x + brightness)
    return jnp.einsum("hwc,dc->hwd", x + brightness, matrix, precision="highest")
