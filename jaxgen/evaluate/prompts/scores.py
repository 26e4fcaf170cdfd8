"""How well the images of a run suit their prompts, over all, per category and per challenge.

Cosines and ranks are those of `jaxgen.evaluate.text_image`. The images of one prompt are alike, so that a standard
error is that of the mean over prompts, each with the mean of its seeds.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxgen.data.clip_tokenizer import cleaned
from jaxgen.evaluate import text_image
from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.pictures.picture import Picture, Sheet, Table, tiles
from jaxgen.evaluate.prompts.runs import Run
from jaxgen.evaluate.result import Result, mean_and_error
from jaxgen.evaluate.stream.features import extract, unchanged
from jaxgen.io import atomic

if TYPE_CHECKING:
    from jaxgen.evaluate.extractors.clip import Clip

AT_ONCE = 64  # images of full size in memory
SHOWN = 8  # images in a sheet
ORDER = 0  # the seed that prompts are permuted with for folds


class Scores(NamedTuple):
    """Of a run of P prompts and S seeds: cosines of image and prompt, `plain` and `prefixed` [P, S]; the `candidates`
    of every prompt, numbers of prompts [P, c], the own one first; how many of them were as close to the image [P, S];
    RefCLIPScores [P, S], or None without references. All are of the network that `said` and `label` tell."""

    plain: np.ndarray
    prefixed: np.ndarray
    candidates: np.ndarray
    ranks: np.ndarray
    referenced: np.ndarray | None
    said: Mapping[str, str]
    label: str

    def columns(self) -> dict[str, np.ndarray]:
        """What is averaged [P, S], by the name of the figure."""
        return text_image.per_image(self.plain, self.prefixed, self.ranks, self.referenced, self.label)


def score(
    run: Run,
    clip: "Clip",
    count: int = 100,
    seed: int = 0,
    references: Mapping[str, Sequence[str]] | None = None,
    done: Callable[[int], None] = lambda images: None,
) -> Scores:
    """The scores of a finished run by `clip`, an extractor of images and embeddings of texts. R-precision is among
    `count` prompts that read differently, drawn by the `seed`. `references` are other texts of each prompt. Raises
    ValueError where the run has fewer prompts, or a prompt no references."""
    texts = [prompt.text for prompt in run.manifest.prompts]
    drawn = text_image.candidates([cleaned(text) for text in texts], count, seed)
    shape = len(texts), len(run.manifest.seeds)
    others = None if references is None else [references.get(text, ()) for text in texts]
    if others is not None and not all(others):
        lacking = texts[[bool(some) for some in others].index(False)]
        raise ValueError(f"there is no reference for {lacking[:60]!r}: RefCLIPScore needs some for every prompt.")

    def prepared() -> Iterator[np.ndarray]:
        for start in range(0, len(run), AT_ONCE):
            yield clip.images.prepare(run[start : start + AT_ONCE])

    layers = extract(clip.images._replace(prepare=unchanged), prepared(), done)
    seen = np.concatenate([block["features"] for block in layers])
    plain, prefixed = (clip.texts([prefix + text for text in texts]) for prefix in ("", text_image.PREFIX))

    def cosines(read: np.ndarray) -> np.ndarray:
        return np.asarray(text_image.cosines(seen, read.repeat(shape[1], 0))).reshape(shape)

    referenced = None
    if others is not None:
        most = max(map(len, others))  # the first is repeated, which leaves the closest what it is
        padded = [text for some in others for text in (*some, *[some[0]] * (most - len(some)))]
        read = clip.texts([text_image.PREFIX + text for text in padded]).reshape(len(texts), most, -1)
        of_images = (part.repeat(shape[1], 0) for part in (prefixed, read))
        referenced = np.asarray(text_image.ref_clip_score(seen, *of_images)).reshape(shape)
    ranks = text_image.ranks(seen, plain, drawn.repeat(shape[1], 0))
    protocol = f"{clip.images.name}; vocabulary sha256 {clip.vocabulary}"
    said = {"protocol": protocol, "layer": "features", "weights": clip.images.weights, "dtype": clip.images.dtype}
    return Scores(
        cosines(plain), cosines(prefixed), drawn, np.asarray(ranks).reshape(shape), referenced, said, clip.images.label
    )


def write_report(run: Run, scores: Scores) -> tuple[Path, list[Result]]:
    """The scores as report.html and metrics.json in the folder of the run: figures of all prompts, a table by category
    and one by challenge, the images nearest to their prompts and furthest from them; and as scores.npz, with the
    candidates. Returns the page and its figures."""
    system, prompts, seeds, about = run.manifest
    order = np.random.default_rng(ORDER).permutation(len(prompts))  # folds are of all categories
    columns = {name: values[order] for name, values in scores.columns().items()}
    results = text_image.figures(columns, scores.candidates.shape[1], **scores.said)
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
    arrays = {name: value for name, value in scores._asdict().items() if isinstance(value, np.ndarray)}
    np.savez_compressed(buffer, allow_pickle=False, **arrays, **{name: np.array(v) for name, v in scores.said.items()})
    atomic.write(run.folder / "scores.npz", buffer.getvalue())
    summary = f"{len(prompts):,} prompts, {len(seeds)} image{'s' * (len(seeds) > 1)} each."
    return report(run.folder, system, results, pictures, {"about": about, "seeds": seeds}, summary), results


def table(scores: Scores, names: Sequence[str]) -> Table:
    """The figures of the prompts of each of the `names` [P], with standard errors over prompts."""
    columns = scores.columns()
    del columns["CLIP percent"]  # what the cosine says, in another unit
    of_prompt = [values.mean(1) for values in columns.values()]
    kept = [name for name in dict.fromkeys(names) if name]
    rows: list[list[float | None]] = []
    for name in kept:
        chosen = [values[np.array(names) == name] for values in of_prompt]
        n = len(chosen[0])
        found = [mean_and_error(values) if n > 1 else (float(values[0]), None) for values in chosen]
        rows.append([n, *(figure for pair in found for figure in pair)])
    return Table(("prompts", *(f"{name}{sign}" for name in columns for sign in ("", " ±"))), kept, rows)


def sheet(run: Run, scores: Scores, rows: np.ndarray) -> Sheet:
    """The images of these rows, their prompts under them."""
    shown = [run[row : row + 1][0] for row in rows.tolist()]
    notes = [f"{run.prompt(row).text} ({scores.plain.ravel()[row]:.3f})" for row in rows.tolist()]
    return Sheet(tiles(shown)[None], [notes])
