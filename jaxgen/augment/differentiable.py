"""Differentiable augmentation: every image, always, by colors, a shift and a cutout.

| operation | parameters | x becomes |
|---|---|---|
| `brightness` | u ~ U(0, 1) | x + u - 1/2 |
| `saturation` | u ~ U(0, 1) | m + 2u (x - m), m the mean of the channels of a pixel |
| `contrast` | u ~ U(0, 1) | m + (u + 1/2) (x - m), m the mean of the image |
| `translation` | (i, j), whole, to an eighth of height and width | x[h + i, w + j], 0 beyond |
| `cutout` | (i, j), whole, from 0 to height and width | 0 in the rectangle of half the size around (i, j) |

Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (2006.10738), section 4.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.augment.augmented import Augmentation
from jaxgen.losses.algebra import Params, draw

SHIFTED, CUT = 1 / 8, 1 / 2  # of the size


class Operation(NamedTuple):
    """draw(key, size=(H, W)) -> parameters; apply(x [H, W, C], parameters) -> x."""

    draw: Callable[..., Array]
    apply: Callable[[Array, Array], Array]


def fraction(key: Array, size: tuple[int, int]) -> Array:
    return jax.random.uniform(key)


def steps(key: Array, size: tuple[int, int]) -> Array:
    most = jnp.array([rounded(SHIFTED * n) for n in size])
    return jax.random.randint(key, (2,), -most, most + 1)


def middle(key: Array, size: tuple[int, int]) -> Array:
    return jax.random.randint(key, (2,), 0, jnp.array([n + 1 - rounded(CUT * n) % 2 for n in size]))


def rounded(length: float) -> int:
    """The nearest whole number, halves up."""
    return int(length + 0.5)


def brightness(x: Array, u: Array) -> Array:
    return x + (u.astype(x.dtype) - 0.5)


def saturation(x: Array, u: Array) -> Array:
    gray = jnp.mean(x, axis=-1, keepdims=True)
    return gray + 2 * u.astype(x.dtype) * (x - gray)


def contrast(x: Array, u: Array) -> Array:
    gray = jnp.mean(x)
    return gray + (u.astype(x.dtype) + 0.5) * (x - gray)


def translation(x: Array, steps: Array) -> Array:
    most = [rounded(SHIFTED * n) for n in x.shape[:2]]
    padded = jnp.pad(x, [(n, n) for n in most] + [(0, 0)])
    return jax.lax.dynamic_slice(padded, (steps[0] + most[0], steps[1] + most[1], 0), x.shape)


def cutout(x: Array, middle: Array) -> Array:
    def within(axis: int) -> Array:
        side = rounded(CUT * x.shape[axis])
        place = jnp.arange(x.shape[axis]) - (middle[axis] - side // 2)
        return (place >= 0) & (place < side)

    return jnp.where((within(0)[:, None] & within(1))[..., None], 0, x)


OPERATIONS = {
    "brightness": Operation(fraction, brightness),
    "saturation": Operation(fraction, saturation),
    "contrast": Operation(fraction, contrast),
    "translation": Operation(steps, translation),
    "cutout": Operation(middle, cutout),
}


def differentiable(operations: Sequence[str] = tuple(OPERATIONS)) -> Augmentation:
    """Every image through `operations` in their order; the default is the paper's "color + translation + cutout"."""
    unknown = [name for name in operations if name not in OPERATIONS]
    if unknown:
        raise ValueError(f"expected operations among {', '.join(OPERATIONS)}, got {', '.join(unknown)}.")

    def augment(params: Params, keys: Array, x: Array) -> Array:
        size = x.shape[1], x.shape[2]
        for salt, name in enumerate(operations, 0xD1FF):
            drawn = draw(keys, salt, partial(OPERATIONS[name].draw, size=size))
            x = jax.vmap(OPERATIONS[name].apply)(x, drawn)
        return x

    return Augmentation(augment)
