"""What can be missing of images: the tasks of jaxgen restore, and the masks of inpainting."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax import Array

from jaxgen.configuration import unknown
from jaxgen.data import Spec
from jaxgen.data.images import read_image
from jaxgen.operators import Operator, blur, grey, inpainting, pooling


class Problem(NamedTuple):
    """A task by name and its arguments: the `mask` of inpaint (see `masks_of`), the `factor` of superres, the standard
    deviation `std` of deblur in pixels."""

    task: str
    mask: str = "left"
    factor: int = 2
    std: float = 1.0


class Degradation(NamedTuple):
    """What was seen of images: `operator`(mask) measures them, and `shown`(y, mask) is how y looks, in levels. mask, 1
    where pixels are known, is [B, H, W, 1]; all but inpainting leave it alone."""

    operator: Callable[[Array], Operator]
    shown: Callable[[Array, Array], Array]


def degradation(problem: Problem, spec: Spec) -> Degradation:
    """What `problem` does to images of `spec`. Raises ValueError for what does not fit them."""
    if problem.task not in TASKS:
        raise unknown("task", problem.task, TASKS)
    return TASKS[problem.task](problem, spec)


def inpaint(problem: Problem, spec: Spec) -> Degradation:
    """Pixels are missing, and shown in mid grey."""
    middle = (spec.levels - 1) / 2
    return Degradation(lambda mask: inpainting(mask, spec.shape), lambda y, mask: y + (1 - mask) * middle)


def colorize(problem: Problem, spec: Spec) -> Degradation:
    """Colours are missing."""
    operator = grey(spec.shape)
    return Degradation(lambda mask: operator, lambda y, mask: operator.inverse(y))


def superres(problem: Problem, spec: Spec) -> Degradation:
    """Detail below blocks of `factor` x `factor` pixels is missing; each is shown in its mean."""
    operator = pooling(spec.shape, problem.factor)
    return Degradation(lambda mask: operator, lambda y, mask: operator.inverse(y))


def deblur(problem: Problem, spec: Spec) -> Degradation:
    """Detail is dimmed by a Gaussian blur."""
    operator = blur(spec.shape, problem.std)
    return Degradation(lambda mask: operator, lambda y, mask: y)


TASKS = {"inpaint": inpaint, "colorize": colorize, "superres": superres, "deblur": deblur}

MASKS: dict[str, Callable[[int, int], tuple[slice, slice]]] = {  # the rectangle that is filled in
    "left": lambda h, w: (slice(None), slice(w // 2)),
    "right": lambda h, w: (slice(None), slice(w // 2, None)),
    "top": lambda h, w: (slice(h // 2), slice(None)),
    "bottom": lambda h, w: (slice(h // 2, None), slice(None)),
    "box": lambda h, w: (slice(h // 4, h - h // 4), slice(w // 4, w - w // 4)),
}


def masks_of(name: str, shape: tuple[int, ...], num: int, seed: int) -> np.ndarray:
    """`num` masks [num, H, W, 1], 1 where pixels are known: all but a rectangle of `MASKS`, half of the pixels at
    random, or the light ones of an image file."""
    height, width, _ = shape
    if name == "random":
        return np.random.default_rng(seed).integers(0, 2, (num, height, width, 1)).astype(np.float32)
    if name in MASKS:
        mask = without(shape, *MASKS[name](height, width))
    elif Path(name).suffix:
        if not Path(name).is_file():
            raise ValueError(f"expected an image file of the mask at {name}, found none: correct --mask.")
        mask = (read_image(Path(name), grey=True) > 127).astype(np.float32)
        inpainting(mask, shape)
        if mask.all() or not mask.any():
            lacking = "dark" if mask.all() else "light"
            raise ValueError(
                f"the mask {name} has no {lacking} pixel: make those dark that are to be filled in, the others light."
            )
    else:
        raise unknown("mask", name, [*MASKS, "random"])
    return np.broadcast_to(mask, (num, *mask.shape))


def without(shape: tuple[int, ...], rows: slice, columns: slice) -> np.ndarray:
    """1 but in a rectangle, [H, W, 1]."""
    mask = np.ones((*shape[:2], 1), np.float32)
    mask[rows, columns] = 0
    return mask
