"""Text to image: what a distance between images drawn for captions and others is a distance of.

FID-30K of MS-COCO has no agreed reference: papers take the 30,000 images of the captions, all 40,504 of val2014, or
those of training, and captions one an image or from all of them, which moves it by more than models do. So each of
these choices is part of the figure's protocol.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from jaxgen.evaluate.stream.sides import Side
from jaxgen.io.location import readable


class Captions(NamedTuple):
    """A list of captions, that image i of the samples was drawn for the i-th of: the `name` of its file, their number
    `n`, how many of them are `different`, and the `sha256` of the captions, each ended by a line feed, in UTF-8."""

    name: str
    n: int
    different: int
    sha256: str


class TextToImage(NamedTuple):
    """The protocol of figures of images that were drawn for captions.

    captions:  the list, one image each.
    reference: the images that they are compared with; None for figures that compare with none.
    crop, resize: how these and the samples were cut and resampled before the network, (reference, samples).
    mode:      rule by which the network resizes.
    n:         how many samples.
    """

    captions: Captions
    reference: str | None
    crop: tuple[str, str]
    resize: tuple[str, str]
    mode: str
    n: int

    @property
    def name(self) -> str:
        captions, crop, resize = self.captions, self.crop, self.resize
        listed = f"{captions.n:,} captions ({captions.different:,} different) of {captions.name}"
        against = "" if self.reference is None else f"; against {self.reference}, crop {crop[0]}, resize {resize[0]}"
        return (
            f"text to image, {self.n:,} samples, one for each of {listed}, list sha256 {captions.sha256}, crop "
            f"{crop[1]}, resize {resize[1]}{against}; mode {self.mode}"
        )


def read_captions(path: Path) -> Captions:
    """Of a file with a caption in each line, in UTF-8. Raises ValueError for any other."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"expected captions in UTF-8 in {path} ({error}): save the list as UTF-8 text.") from None
    captions = [line.strip() for line in lines]
    if not captions or "" in captions:
        empty = f"line {captions.index('') + 1}" if captions else "the file"
        raise ValueError(f"expected a caption in each line of {path}, but {empty} is empty: fill in or remove it.")
    listed = "".join(f"{caption}\n" for caption in captions).encode()
    return Captions(readable(path.name), len(captions), len({*captions}), hashlib.sha256(listed).hexdigest())


def text_to_image(captions: Captions, real: Side, fake: Side, reference: str | None, mode: str) -> TextToImage:
    """The protocol of the samples `fake`, one a caption, against `real`, which is said as `reference`. Raises
    ValueError where their number is another one."""
    if captions.n != len(fake):
        raise ValueError(
            f"expected one image for each of the {captions.n:,} captions of {captions.name}, got {len(fake):,} of "
            f"{fake.name}: give the list that they were drawn for, in their order."
        )
    crop, resize = zip(prepared(real), prepared(fake), strict=True)
    return TextToImage(captions, reference, crop, resize, mode, len(fake))


def prepared(side: Side) -> tuple[str, str]:
    """How the images of `side` were cut, and resampled."""
    if side.statistics is not None:
        return "unknown", "unknown"
    return ("none", "none") if side.size is None else ("central square", f"{side.size} px by Lanczos")
