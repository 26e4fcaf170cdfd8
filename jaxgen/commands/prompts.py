"""jaxgen prompts: how well the images of a text-to-image model suit a list of prompts."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxgen.commands.page import lines
from jaxgen.evaluate.extractors.clip import open_clip
from jaxgen.evaluate.prompts.found import adopt, images_in
from jaxgen.evaluate.prompts.lists import read_prompts, read_references
from jaxgen.evaluate.prompts.runs import Run, open_run
from jaxgen.evaluate.prompts.scores import score, write_report
from jaxgen.io.progress import progress


class Made(NamedTuple):
    """Images that another program made: in the folder `images`, of the `prompts` in a file, by a `system` of that name
    (by default that of the folder)."""

    images: Path
    prompts: Path
    system: str | None = None


def prompts(
    folder: Path,
    weights: Mapping[str, Path],
    vocabulary: Path | None,
    made: Made | None = None,
    references: Path | None = None,
    count: int = 100,
    seed: int = 0,
) -> str:
    """Score the run in `folder`, or one that is made there of images from elsewhere, which without weights is all."""
    run = open_run(folder) if made is None else adopted(folder, made)
    said = [f"{len(run):,} images of {len(run.manifest.prompts):,} prompts by {run.manifest.system} in {folder}"]
    if not weights and made is not None:
        return said[0]
    if {*weights} != {"clip"} or vocabulary is None:
        raise ValueError(
            "scores need one CLIP and its vocabulary: pass --weights clip=PATH of OpenAI's ViT-B-32.pt and "
            "--vocabulary=bpe_simple_vocab_16e6.txt.gz."
        )
    others = None if references is None else read_references(references)
    clip = open_clip(weights["clip"], vocabulary)
    with progress(len(run), unit="image") as show:
        scores = score(run, clip, count, seed, others, show.update)
    page, results = write_report(run, scores)
    return "\n".join([*said, *lines(results), f"report in {page}"])


def adopted(folder: Path, made: Made) -> Run:
    """The run of images from elsewhere."""
    listed = read_prompts(made.prompts)
    with progress(len(images_in(made.images)), unit="file") as show:
        return adopt(folder, made.system or made.images.absolute().name, listed, made.images, show.update)
