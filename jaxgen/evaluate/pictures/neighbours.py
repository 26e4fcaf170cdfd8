"""The check for copies: samples beside the real images that are nearest to them."""

import numpy as np

from jaxgen.evaluate.pictures.picture import Picture, Sheet, digits, picked, tiles
from jaxgen.evaluate.stream.sides import Side

SHOWN = 12
SECTION = "Copies"


def relative(squared: np.ndarray, index: np.ndarray, own: np.ndarray) -> np.ndarray:
    """|x - y| / min_{y' != y} |y - y'| of each sample x and the real image y nearest to it, [m]: 0 is a copy, and
    below 1 the sample is closer to that image than any other real image is, inauthentic in the words of Alaa et al.
    (2022, section 3.3). See `neighbour_pictures` for the arguments."""
    distance, around = np.sqrt(squared[:, 0]), np.sqrt(own[index[:, 0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / around)


def neighbour_pictures(
    fake: Side, real: Side, squared: np.ndarray, index: np.ndarray, own: np.ndarray, space: str
) -> list[Picture]:
    """The samples most like copies, and the first ones, each beside its k nearest real images.

    squared, index:  squared distances [m, k] to the nearest real images, ascending, and whose, as `nearest` of
                     `jaxgen.evaluate.distribution.neighbours` gives them, in the features called `space`.
    own:             squared distances [n] of each real image to the nearest other one (`leave_one_out`).
    """
    ratio = relative(squared, index, own)
    suspects, first = np.argsort(ratio, kind="stable")[:SHOWN], np.arange(min(SHOWN, len(ratio)))
    closer, copies = (int(found.sum()) for found in (ratio < 1, squared[:, 0] == 0))
    return [
        Picture(
            f"Samples most like copies, by {space}",
            sheet(fake, real, squared, index, ratio, suspects),
            "Each sample, then the real images nearest to it and how far they are. Under the sample: the distance "
            "to the nearest, over that from there to the next real image. "
            f"Among {len(ratio):,} samples, copies (0): {copies:,}; closer to a real image than any other real image "
            f"is (below 1): {closer:,}, and of new images from the same source it would be about half.",
            SECTION,
        ),
        Picture(
            f"First samples and what is nearest, by {space}",
            sheet(fake, real, squared, index, ratio, first),
            "The same for the first samples, whatever they are.",
            SECTION,
        ),
    ]


def sheet(
    fake: Side, real: Side, squared: np.ndarray, index: np.ndarray, ratio: np.ndarray, samples: np.ndarray
) -> Sheet:
    """A row for each of these samples."""
    rows = list(zip(samples, picked(fake.rows, samples), strict=True))
    small = tiles([image for i, sample in rows for image in (sample, *picked(real.rows, index[i]))])
    k = index.shape[1]
    notes = [
        [f"{ratio[i]:.2f} · {name(fake, i)}"]
        + [f"{digits(distance)} · {name(real, j)}" for j, distance in zip(index[i], np.sqrt(squared[i]), strict=True)]
        for i in samples
    ]
    heads = ("sample", "nearest", *(f"{place}." for place in range(2, k + 1)))
    return Sheet(small.reshape(len(samples), 1 + k, *small.shape[1:]), notes, heads)


def name(side: Side, i: int) -> str:
    """That of an image for people."""
    return side.files[i] if side.files else f"#{i}"
