"""What can be shown on the page of a report: an image, a chart, a sheet of small images with notes, a table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL, LARGE = 48, 128  # sides of tiles
GREY = (128, 128, 128)


class Sheet(NamedTuple):
    """Small images in rows, uint8 [R, C, S, S, 3] (see `tiles`), each with a note under it, [R][C] texts. With `heads`
    of the columns the first column is what the others are compared with; without, the rows are read as one."""

    tiles: np.ndarray
    notes: Sequence[Sequence[str]]
    heads: Sequence[str] = ()

    @property
    def image(self) -> np.ndarray:
        """The tiles as one image, without what is written."""
        rows, columns, side = self.tiles.shape[:3]
        return self.tiles.swapaxes(1, 2).reshape(rows * side, columns * side, 3)


class Table(NamedTuple):
    """Numbers by row and column, [R][C]; None where there is none, whole numbers as int."""

    columns: Sequence[str]
    rows: Sequence[str]
    values: Sequence[Sequence[float | None]]


class Picture(NamedTuple):
    """What is shown, under which title, and the caption that says what is seen. An image is uint8 [H, W, 1 or 3], a
    chart one of `jaxgen.io.plots`; with None there is nothing to show, and the caption says why. Pictures of one
    `section` stand together under its name."""

    title: str
    image: "np.ndarray | Figure | Sheet | Table | None"
    caption: str = ""
    section: str = "Model"


def digits(value: float) -> str:
    """A number in a note: three digits, or all of a whole number that has more; 0 is nothing but 0."""
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:#.3g}".removesuffix(".") if value else "0"


def tile(image: np.ndarray, side: int) -> np.ndarray:
    """`image` uint8 [H, W, 1 or 3] in a square of `side` pixels, uint8 [side, side, 3]: repeated pixels where it is
    smaller, means of pixels where it is larger, mid grey around what is not square."""
    from PIL import Image, ImageOps

    rgb = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).copy())
    method = Image.Resampling.NEAREST if max(rgb.size) <= side else Image.Resampling.BOX
    return np.asarray(ImageOps.pad(rgb, (side, side), method, GREY))


def tiles(images: Sequence[np.ndarray]) -> np.ndarray:
    """`tile` of images of any sizes, [n, S, S, 3]: S is the least multiple of the largest side that is 48 or more, and
    at most 128."""
    size = max(max(image.shape[:2]) for image in images)
    side = min(LARGE, size * max(1, -(-SMALL // size)))
    return np.stack([tile(image, side) for image in images])


def picked(rows: Any, indices: Iterable[int] | np.ndarray) -> list[np.ndarray]:
    """The few images with these indices, of rows that are read in slices; of a video [T, H, W, C] the frame in the
    middle."""
    found = (np.asarray(rows[i : i + 1])[0] for i in map(int, indices))
    return [image if image.ndim == 3 else image[len(image) // 2] for image in found]
