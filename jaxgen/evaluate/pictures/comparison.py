"""All that is shown of two sets of images and their features."""

from collections.abc import Callable

from jaxgen.evaluate.distribution.prdc import counted
from jaxgen.evaluate.neighbourhood import BALLS, K, Neighbourhood, radii
from jaxgen.evaluate.pictures.classes import class_table
from jaxgen.evaluate.pictures.distributions import feature_pictures
from jaxgen.evaluate.pictures.neighbours import neighbour_pictures
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.pictures.realism import realism_pictures
from jaxgen.evaluate.pictures.samples import sample_pictures
from jaxgen.evaluate.stream.sides import Side

PARTS = 5


def comparison(
    fake: Side, real: Side, near: Neighbourhood, space: str, done: Callable[[int], None] = lambda count: None
) -> list[Picture]:
    """Samples and real images, the check for copies, the best and worst samples, the table of classes and the charts of
    features: PARTS, of which `done` hears how many are finished.

    near:   neighbours of the images of `fake` and `real` in some features, rows [m, d] and [n, d].
    space:  how a reader calls these, "raw pixels" or "DINOv2 features".

    Of sets of up to 5 images, samples and real images alone.
    """
    pictures = sample_pictures(fake, real)
    x, y = near.fake, near.real
    if min(len(x), len(y)) <= K:
        return pictures
    done(1)
    pictures += neighbour_pictures(fake, real, *near.across, radii(near.among_real, 1), space)
    done(2)
    if counted(radii(near.among_real, BALLS)).any():
        pictures += realism_pictures(fake, near.realism, space)
    done(3)
    if fake.labels is not None and real.labels is not None:
        pictures += class_table(fake, real, x, y, near.across[1][:, 0], near.membership(K), space, K)
    done(4)
    pictures += feature_pictures(x, y, space)
    done(5)
    return pictures
