"""Images as one looks at them: grids, denoising strips, PNG files."""

import io
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from jaxgen.io import atomic


def to_uint8(x: ArrayLike, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """round(255 (x - low) / (high - low)), clipped: the display range [low, high] of any array as uint8."""
    x = np.asarray(x, np.float64)
    if not np.isfinite(x).all():
        raise ValueError("images must be finite to be shown, got NaN or infinity; look at the sampler or the loss.")
    return np.rint(np.clip((x - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def grid(images: ArrayLike, columns: int | None = None, scale: int | None = None, gap: int = 2) -> np.ndarray:
    """Tile `images` [N, H, W, C] (C = 1 or 3; [N, H, W] is grey) row by row, uint8 [rows, columns, C].

    Without `columns` the grid is as square as it gets. Every pixel is repeated `scale` times each way, without
    smoothing; by default so often that a tile has at least 48 pixels a side. `gap` pixels of mid grey run
    between and around the tiles, and fill the cells left over.
    """
    images = np.asarray(images)
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise ValueError(
            f"images must be uint8 [N, H, W, 1 or 3], got {images.dtype} {images.shape}; map them with to_uint8."
        )
    n, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    rows = -(-n // columns)
    scale = max(1, -(-48 // min(height, width))) if scale is None else scale
    tiles = images.repeat(scale, axis=1).repeat(scale, axis=2)
    cells = np.full((rows * columns, scale * height + gap, scale * width + gap, channels), 128, np.uint8)
    cells[:n, gap:, gap:] = tiles
    cells = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    canvas = cells.reshape(rows * cells.shape[1], columns * cells.shape[3], channels)
    return np.pad(canvas, ((0, gap), (0, gap), (0, 0)), constant_values=128)


def frame_scales(trajectory: ArrayLike, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """max(1, rms_t / rms_T), [T]: how many times larger than the last frame each frame of [T, B, ...] is.

    rms_t is the root mean square over the whole frame of the distance from mid range, (low + high) / 2.
    """
    centred = np.asarray(trajectory, np.float64) - (low + high) / 2
    rms = np.sqrt(np.square(centred).reshape(len(centred), -1).mean(1))
    return np.maximum(1, rms / max(rms[-1], np.finfo(np.float64).tiny))


def strip(
    trajectory: ArrayLike,
    frames: int = 10,
    low: float = -1.0,
    high: float = 1.0,
    scale: int | None = None,
    gap: int = 2,
) -> np.ndarray:
    """One row for each sample of `trajectory` [T, B, H, W, C], from noise (left) to image (right), uint8.

    At most `frames` of the T, evenly spaced, the first and the last among them. Frame t is shown as
    mid range + (x_t - mid range) / c_t with the one number c_t of `frame_scales` for all its pixels and
    samples: noise of standard deviation 80 is dimmed to the contrast of the result, nothing is ever amplified,
    and the last frame is shown as it is.
    """
    trajectory = np.asarray(trajectory, np.float64)
    if trajectory.ndim != 5:
        raise ValueError(f"a trajectory must be [T, B, H, W, C], got shape {trajectory.shape}.")
    chosen = np.unique(np.linspace(0, len(trajectory) - 1, min(frames, len(trajectory))).round().astype(int))
    middle = (low + high) / 2
    scales = frame_scales(trajectory, low, high)[chosen].reshape(-1, 1, 1, 1, 1)
    shown = to_uint8(middle + (trajectory[chosen] - middle) / scales, low, high)
    tiles = shown.swapaxes(0, 1).reshape(-1, *shown.shape[2:])
    return grid(tiles, columns=len(chosen), scale=scale, gap=gap)


def png(image: ArrayLike) -> bytes:
    """`image` uint8 [H, W, 1 or 3] or [H, W] as the bytes of a PNG file."""
    from PIL import Image

    image = np.asarray(image)
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.ndim == 3 and image.shape[-1] == 3):
        raise ValueError(f"an image must be uint8 [H, W, 1 or 3], got {image.dtype} {image.shape}.")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def save(path: str | os.PathLike, image: ArrayLike) -> Path:
    """Write `image` (see `png`) to `path`, whole or not at all."""
    return atomic.write(path, png(image))
