"""What `jaxgen evaluate` is asked to measure, and of which images."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxgen.commands import metrics
from jaxgen.commands.metrics import OF_MODEL, PIXELS, Chosen
from jaxgen.evaluate.stream.captions import Captions
from jaxgen.evaluate.stream.sides import Side, open_side
from jaxgen.parallel import multihost


class Named(NamedTuple):
    """What --metrics asks for: of a model itself, of two sets of images, and of images in pairs; and its `text`."""

    own: list[str]
    chosen: list[Chosen]
    paired: list[str]
    text: str


class Asked(NamedTuple):
    """What to measure, and how.

    metrics:    what --metrics names.
    real:       the reference, see `jaxgen.evaluate.stream.sides`; None is the training data of the model.
    weights:    the file of each network.
    batch:      images that a network sees at a time, by default as many as suit it.
    image_size: to which the images of folders and data sets are cut and resampled, if at all.
    skip_bad:   whether damaged files of a folder are left out.
    captions:   those that images --fake were drawn for.
    """

    metrics: Named
    real: str | None = None
    weights: Mapping[str, Path] = {}
    batch: int | None = None
    image_size: int | None = None
    skip_bad: bool = False
    captions: Captions | None = None


def names(text: str) -> Named:
    """The metrics of --metrics, each once, under the first of its names. Raises ValueError for others."""
    given = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in given:
        known = ", ".join((*metrics.ALIASES, *metrics.PAIRED, *OF_MODEL))
        raise ValueError(f"--metrics must be one or more of {known}, got {text!r}.")
    other = (*OF_MODEL, *metrics.PAIRED)
    chosen: dict[tuple, Chosen] = {}
    for name in given:
        if name not in other:
            one = metrics.parse(name)
            chosen.setdefault(one.space, one)
    return Named(
        [name for name in given if name in OF_MODEL],
        list(chosen.values()),
        [name for name in given if name in metrics.PAIRED],
        text,
    )


def check(asked: Asked) -> None:
    """Raises ValueError for weights of a network that no metric is taken in, and warns of a batch of none."""
    metrics.check_used(asked.weights, asked.metrics.chosen, asked.metrics.paired)
    if asked.batch is not None and all(one.network == PIXELS for one in asked.metrics.chosen):
        warnings.warn(f"--batch is of networks, of which --metrics={asked.metrics.text} takes none.", stacklevel=2)


def opened(text: str, asked: Asked) -> Side:
    """A side that the command line names; data sets are prepared by the first process."""
    with multihost.main_first(f"{text} is prepared"):
        return open_side(text, asked.image_size, asked.skip_bad)
