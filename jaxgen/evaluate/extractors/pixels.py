"""Raw pixels in [0, 1], where no network is called for: small images, or a check of copies."""

from jaxgen.evaluate.distribution.blocks import View
from jaxgen.evaluate.pixels import to_levels
from jaxgen.evaluate.stream.sides import Side


def rows(side: Side) -> View:
    """The images of `side` as k / (levels - 1), k the level of each pixel: float64 [n, H W C], read when asked for."""
    top = side.levels - 1
    return View(side.rows, lambda images: to_levels(images.reshape(len(images), -1) * (top / 255), side.levels))
