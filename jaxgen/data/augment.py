"""Augmentations of a batch of images, each example by its own random numbers.

A transform is a function (x [B, H, W, C], u [B, 4]) -> x, where u holds four uniform numbers in [0, 1) per example.
"""

from collections.abc import Callable

import numpy as np

from jaxgen.data.images import resize_array

Transform = Callable[[np.ndarray, np.ndarray], np.ndarray]


def random_flip(axis: int = 2, probability: float = 0.5) -> Transform:
    """Mirrors each example along `axis` of [B, H, W, C] (2: left-right, 1: up-down) with the given probability."""

    def transform(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        x, chosen = x.copy(), u[:, 0] < probability
        x[chosen] = np.flip(x[chosen], axis)
        return x

    return transform


def random_crop(size: int, padding: int = 0) -> Transform:
    """A window of size x size at a uniform place of each example, after `padding` reflected pixels on every side."""

    def transform(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="reflect")
        corners = np.floor(u[:, :2] * (fit(x, size) + 1)).astype(int)
        return np.stack([image[i : i + size, j : j + size] for image, (i, j) in zip(x, corners, strict=True)])

    return transform


def random_shift(pixels: int, probability: float = 1.0) -> Transform:
    """Moves each example, with the given probability, by up to `pixels` along both axes; level 0 comes in."""

    def transform(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        size = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
        corners = np.where(u[:, 2:3] < probability, np.floor(u[:, :2] * (2 * pixels + 1)).astype(int), pixels)
        return np.stack(
            [image[i : i + size[0], j : j + size[1]] for image, (i, j) in zip(padded, corners, strict=True)]
        )

    return transform


def center_crop(size: int) -> Transform:
    """The window of size x size in the middle."""

    def transform(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        top, left = fit(x, size) // 2
        return x[:, top : top + size, left : left + size]

    return transform


def resize(size: int) -> Transform:
    """The central square resampled to size x size (Lanczos)."""

    def transform(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        return np.stack([resize_array(image, size) for image in x])

    return transform


def fit(x: np.ndarray, size: int) -> np.ndarray:
    """How many pixels of height and width of [B, H, W, C] a window of size x size leaves over."""
    room = np.array(x.shape[1:3]) - size
    if (room < 0).any():
        raise ValueError(f"expected images of at least {size}x{size} pixels to crop, got {x.shape[1]}x{x.shape[2]}")
    return room
