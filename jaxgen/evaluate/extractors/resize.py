"""Resizing rules of published protocols, which differ by whole percents of a Fréchet distance.

Each takes images [B, H, W, C] and gives [B, height, width, C], on the device. `antialiased` rules widen their filter
where an image shrinks.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.models.layers.resize import (
    area_weights,
    cubic_weights,
    filtered_weights,
    keys,
    linear_weights,
    triangle,
)

Rule = Callable[[Array, int, int], Array]
Weights = Callable[[int, int], np.ndarray]  # old size, new size -> [new, old]


def along(axis: int, weights: np.ndarray, x: Array) -> Array:
    """y_i = sum_j weights[i, j] x_j along an axis, term by term: as many as the widest row of `weights` has, which are
    few beside the pixels of an image. In the type of x."""
    new, old = weights.shape
    there = weights != 0
    first, last = there.argmax(1), old - 1 - there[:, ::-1].argmax(1)
    terms = int((last - first).max()) + 1
    places = np.minimum(first, old - terms)[:, None] + np.arange(terms)
    column = [new if i == axis else 1 for i in range(x.ndim)]
    factors = np.take_along_axis(weights, places, 1).astype(x.dtype)
    return sum(factors[:, k].reshape(column) * jnp.take(x, places[:, k], axis) for k in range(terms))  # type: ignore


def separable(weights: Weights, x: Array, height: int, width: int) -> Array:
    """[B, H, W, C] -> [B, height, width, C] by `weights` along rows, then along columns. Float in, float out."""
    return along(1, weights(x.shape[1], height), along(2, weights(x.shape[2], width), x))


# PyTorch's interpolate, float in, float out, by their modes; "bicubic" has Keys's a = -0.75
torch_bilinear: Rule = partial(separable, linear_weights)
torch_bicubic: Rule = partial(separable, cubic_weights)
torch_area: Rule = partial(separable, area_weights)
torch_bilinear_antialiased: Rule = partial(separable, partial(filtered_weights, triangle))
torch_bicubic_antialiased: Rule = partial(separable, partial(filtered_weights, keys))

PIL_BITS = 22  # of a weight, in Pillow's arithmetic of eight-bit images


def pil_bicubic_float(x: Array, height: int, width: int) -> Array:
    """Pillow's bicubic resizing of an image in mode "F", one for each channel, clipped to 0 ... 255: clean-fid's rule
    (Parmar et al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation")."""
    return jnp.clip(torch_bicubic_antialiased(x, height, width), 0, 255)


def pil_uint8(kernel: Callable[[np.ndarray], np.ndarray], x: Array, height: int, width: int) -> Array:
    """Pillow's resizing of eight-bit images, uint8 in, uint8 out, to the last bit: along the rows, rounded and clipped,
    then along the columns, with weights that are multiples of 2^-22."""
    whole = x.astype(jnp.int32)
    for axis, size in ((2, width), (1, height)):
        weights = np.rint(filtered_weights(kernel, x.shape[axis], size) * 2**PIL_BITS)
        whole = jnp.clip((along(axis, weights, whole) + 2 ** (PIL_BITS - 1)) >> PIL_BITS, 0, 255)
    return whole.astype(jnp.uint8)


pil_bicubic: Rule = partial(pil_uint8, keys)
pil_bilinear: Rule = partial(pil_uint8, triangle)


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
