"""How well the images of a run suit their prompts, over all, per category and per challenge.

Cosines and ranks are those of `jaxgen.evaluate.text_image`. The images of one prompt are alike, so that a standard
error is that of the mean over prompts, each with the mean of its seeds.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxgen.evaluate import text_image
from jaxgen.evaluate.nll import mean_and_error
from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.pictures.picture import Picture, Sheet, Table, tiles
from jaxgen.evaluate.prompts.runs import Run
from jaxgen.evaluate.stream.features import extract, unchanged
from jaxgen.io import atomic

if TYPE_CHECKING:
    from jaxgen.evaluate.extractors.clip import Clip

AT_ONCE = 64  # images of full size in memory
SHOWN = 8  # images in a sheet
COLUMNS = ("prompts", *(f"{name}{sign}" for name in ("CLIP cosine", "CLIPScore", "R-precision") for sign in ("", " ±")))
ORDER = 0  # the seed that prompts are permuted with for folds


class Scores(NamedTuple):
    """Of a run of P prompts and S seeds: cosines of image and prompt, `plain` and `prefixed` [P, S]; the `candidates`
    of every prompt, numbers of prompts [P, c], the own one first; how many of them were closer to the image [P, S]."""

    plain: np.ndarray
    prefixed: np.ndarray
    candidates: np.ndarray
    ranks: np.ndarray


def score(
    run: Run,
    clip: "Clip",
    count: int = 100,
    seed: int = 0,
    done: Callable[[int], None] = lambda images: None,
) -> Scores:
    """The scores of a finished run by `clip`, an extractor of images and embeddings of texts. R-precision is among
    `count` prompts, drawn by the `seed`. Raises ValueError where the run has fewer."""
    texts = [prompt.text for prompt in run.manifest.prompts]
    drawn = text_image.candidates(texts, count, seed)
    shape = len(texts), len(run.manifest.seeds)

    def prepared() -> Iterator[np.ndarray]:
        for start in range(0, len(run), AT_ONCE):
            yield clip.images.prepare(run[start : start + AT_ONCE])

    layers = extract(clip.images._replace(prepare=unchanged), prepared(), done)
    seen = np.concatenate([block["features"] for block in layers])
    plain, prefixed = (clip.texts([prefix + text for text in texts]) for prefix in ("", text_image.PREFIX))

    def cosines(read: np.ndarray) -> np.ndarray:
        return np.asarray(text_image.cosines(seen, read.repeat(shape[1], 0))).reshape(shape)

    ranks = text_image.ranks(seen, plain, drawn.repeat(shape[1], 0))
    return Scores(cosines(plain), cosines(prefixed), drawn, np.asarray(ranks).reshape(shape))


def write_report(run: Run, scores: Scores, protocol: str) -> Path:
    """The scores as report.html and metrics.json in the folder of the run: figures of all prompts, a table by category
    and one by challenge, the images nearest to their prompts and furthest from them; and as scores.npz, with the
    candidates. `protocol` says of which network they are, the name of its extractor."""
    system, prompts, seeds, about = run.manifest
    order = np.random.default_rng(ORDER).permutation(len(prompts))  # folds are of all categories
    plain, prefixed, ranks = (part[order] for part in (scores.plain, scores.prefixed, scores.ranks))
    results = text_image.figures(plain, prefixed, ranks, scores.candidates.shape[1], protocol=protocol)
    near = np.argsort(-scores.plain.ravel(), kind="stable")
    pictures = [
        Picture("Nearest to their prompts", sheet(run, scores, near[:SHOWN]), "The highest cosines.", "Images"),
        Picture("Furthest from their prompts", sheet(run, scores, near[: -SHOWN - 1 : -1]), "The lowest.", "Images"),
    ]
    for kind, title in (("category", "Categories"), ("challenge", "Challenges")):
        names = [getattr(prompt, kind) for prompt in prompts]
        if any(names):
            pictures.append(Picture(title, table(scores, names), "± is a standard error over prompts.", title))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **scores._asdict())
    atomic.write(run.folder / "scores.npz", buffer.getvalue())
    summary = f"{len(prompts):,} prompts, {len(seeds)} image{'s' * (len(seeds) > 1)} each."
    return report(run.folder, system, results, pictures, {"about": about, "seeds": seeds}, summary)


def table(scores: Scores, names: Sequence[str]) -> Table:
    """The figures of the prompts of each of the `names` [P], with standard errors over prompts."""
    columns = scores.plain, text_image.clip_score(scores.prefixed), scores.ranks == 0
    of_prompt = [np.asarray(column, np.float64).mean(1) for column in columns]
    kept = [name for name in dict.fromkeys(names) if name]
    rows: list[list[float | None]] = []
    for name in kept:
        chosen = [values[np.array(names) == name] for values in of_prompt]
        n = len(chosen[0])
        found = [mean_and_error(values) if n > 1 else (float(values[0]), None) for values in chosen]
        rows.append([n, *(figure for pair in found for figure in pair)])
    return Table(COLUMNS, kept, rows)


def sheet(run: Run, scores: Scores, rows: np.ndarray) -> Sheet:
    """The images of these rows, their prompts under them."""
    shown = [run[row : row + 1][0] for row in rows.tolist()]
    notes = [f"{run.prompt(row).text} ({scores.plain.ravel()[row]:.3f})" for row in rows.tolist()]
    return Sheet(tiles(shown)[None], [notes])
