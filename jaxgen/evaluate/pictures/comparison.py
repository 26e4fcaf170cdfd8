"""All that is shown of two sets of images and their features."""

from typing import Any

from jaxgen.evaluate.distribution.neighbours import leave_one_out, nearest, nearest_others
from jaxgen.evaluate.distribution.prdc import membership, realism_within
from jaxgen.evaluate.pictures.classes import class_table
from jaxgen.evaluate.pictures.distributions import feature_pictures
from jaxgen.evaluate.pictures.neighbours import neighbour_pictures
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.pictures.realism import realism_pictures
from jaxgen.evaluate.pictures.samples import sample_pictures
from jaxgen.evaluate.stream.sides import Side

K = 5  # neighbours shown, and those that balls reach
BALLS = 3  # neighbours that those of realism reach


def comparison(fake: Side, real: Side, x: Any, y: Any, space: str) -> list[Picture]:
    """Samples and real images, the check for copies, the best and worst samples, the table of classes and the charts of
    features.

    x, y:   features of the images of `fake` [m, d] and `real` [n, d], arrays or rows that are read in blocks.
    space:  how a reader calls them, "raw pixels" or "DINOv2 features".

    Of sets of up to 5 images, samples and real images alone.
    """
    pictures = sample_pictures(fake, real)
    if min(len(x), len(y)) <= K:
        return pictures
    squared, index = nearest(x, y, K)
    own = nearest_others(y, K)[0]
    pictures += neighbour_pictures(fake, real, squared, index, own[:, 0], space)
    if own[:, 0].any():
        pictures += realism_pictures(fake, realism_within(own[:, BALLS - 1], y, x), space)
    if fake.labels is not None and real.labels is not None:
        found = membership(x, y, leave_one_out(x, K), own[:, K - 1])
        pictures += class_table(fake, real, x, y, index[:, 0], found, space, K)
    return pictures + feature_pictures(x, y, space)
