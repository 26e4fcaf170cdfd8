"""Some images of both sets, as they are."""

import numpy as np

from jaxgen.evaluate.pictures.picture import Picture, picked, tiles
from jaxgen.evaluate.stream.sides import Side
from jaxgen.io import images

SHOWN, COLUMNS = 64, 8


def sample_pictures(fake: Side, real: Side) -> list[Picture]:
    """A grid of up to 64 images of each side that has any, evenly spread over it, as sets may be sorted by class."""
    found = []
    for title, side in (("Samples", fake), ("Real images", real)):
        if len(side):
            count = min(SHOWN, len(side))
            caption = f"{count} of {len(side):,} images of {side.name}, evenly spread."
            if count == len(side):
                caption = f"All {count} images of {side.name}."
            shown = picked(side.rows, np.linspace(0, len(side) - 1, count).astype(int))
            alike = len({image.shape for image in shown}) == 1
            grid = images.grid(np.stack(shown) if alike else tiles(shown), COLUMNS)
            found.append(Picture(title, grid, caption, "Images"))
    return found
