"""Figures of each class by itself, where both sets have labels."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from jaxgen.evaluate.distribution.blocks import shape, taken
from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.distribution.prdc import Membership
from jaxgen.evaluate.pictures.picture import Picture, Table
from jaxgen.evaluate.stream.sides import Side

BYTES = 1 << 28  # of features held of each set
COLUMNS = ("real images", "samples", "Fréchet distance", "precision", "recall", "density", "coverage", "own class")


def class_table(
    fake: Side, real: Side, x: Any, y: Any, index: np.ndarray, found: Membership, space: str, k: int
) -> list[Picture]:
    """For each class that both sides have: how many images; the Fréchet distance of its samples to its real images;
    the part that they have in precision, recall, density and coverage, whose means over all images are the figures of
    the whole; the share of its samples whose nearest real image has their label. Nothing without labels in common.

    x, y:   features of samples [m, d] and real images [n, d], called `space`: arrays or rows read in blocks.
    index:  which real image is nearest to each sample, int [m].
    found:  samples and real images in the balls of each other (`distribution.prdc`), up to the k-th neighbour.
    """
    if fake.labels is None or real.labels is None:
        return []
    names = real.classes or fake.classes
    made = renumbered(fake.labels, fake.classes, names)
    present = np.intersect1d(made, real.labels)
    if not len(present):
        return []
    right = real.labels[index] == made
    rows = []
    features = zip(classwise(x, made, present), classwise(y, real.labels, present), strict=True)
    for label, (a, b) in zip(present, features, strict=True):
        samples, images = made == label, real.labels == label
        shares = (
            (found.around > 0)[samples],
            found.held[images],
            found.around[samples] / k,
            found.reached[images],
            right[samples],
        )
        rows.append((len(b), len(a), distance(a, b), *(float(share.mean()) for share in shares)))
    caption = (
        f"Balls reach the {k}th neighbour in the whole set by {space}, so that precision, recall, density and coverage "
        "of all images are means over those of the classes. Own class is the share of samples whose nearest real "
        "image has their label. The Fréchet distance is to the class alone, and too large by about 1/n: compare it "
        "between classes of one size."
    )
    table = Table(COLUMNS, [names[label] if names else str(label) for label in present], rows)
    return [Picture(f"Classes in {space}", table, caption, "Classes")]


def renumbered(labels: np.ndarray, classes: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """`labels` of `classes` as places in `names`, -1 where there is none of the name; the same without `classes`."""
    place = {name: i for i, name in enumerate(names)}
    return np.array([place.get(name, -1) for name in classes])[labels] if classes else labels


def distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """The Fréchet distance of features [n, d] and [m, d], seen in the space that they span where it has less than d
    dimensions, which moves no distance; None where there are too few for it."""
    if min(len(a), len(b)) < 2:
        return None
    rows = np.concatenate([a, b]) - b.mean(0)
    if len(rows) < rows.shape[1]:
        rows = rows @ np.linalg.qr(rows.T)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few features, of which the table tells
        return frechet(moments(rows[: len(a)]), moments(rows[len(a) :]))


def classwise(rows: Any, labels: np.ndarray, present: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each of the classes `present`, ascending: as many classes are read at once as memory is meant for."""
    counts = np.array([(labels == c).sum() for c in present])
    most = max(1, BYTES // (8 * int(np.prod(shape(rows)[1:]))))
    group = np.cumsum(counts) // most
    return chain.from_iterable(split(rows, labels, present[group == g]) for g in np.unique(group))


def split(rows: Any, labels: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
    """The rows of each of these classes, read together."""
    chosen = np.flatnonzero(np.isin(labels, classes))
    found = taken(rows, chosen).reshape(len(chosen), -1).astype(np.float64)
    return [found[labels[chosen] == c] for c in classes]
