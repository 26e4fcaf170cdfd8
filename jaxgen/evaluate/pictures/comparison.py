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

    In place of what there is none of, the reason.
    """
    pictures = sample_pictures(fake, real)
    x, y = near.fake, near.real
    if min(len(x), len(y)) <= K:
        return [*pictures, *uncompared(f"They need more than {K} images of each side")]
    done(1)
    pictures += neighbour_pictures(fake, real, *near.across, radii(near.among_real, 1), space)
    done(2)
    if counted(radii(near.among_real, BALLS)).any():
        pictures += realism_pictures(fake, near.realism, space)
    else:
        pictures.append(Picture("No realism", None, f"Most real images are there {BALLS + 1} times.", "Realism"))
    done(3)
    if fake.labels is not None and real.labels is not None:
        pictures += class_table(fake, real, x, y, near.across[1][:, 0], near.membership(K), space, K)
    elif fake.labels is not None or real.labels is not None:
        bare = fake if fake.labels is None else real
        pictures.append(Picture("No table of classes", None, f"{bare.name} has no classes.", "Classes"))
    done(4)
    pictures += feature_pictures(x, y, space)
    done(5)
    return pictures


def uncompared(reason: str) -> list[Picture]:
    """What stands in place of all but the samples and real images, for this `reason`, if any."""
    title = "No check for copies, realism, classes or features"
    return [Picture(title, None, f"{reason}.", "Comparison")] if reason else []
