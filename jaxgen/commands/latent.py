"""jaxgen reconstruct and interpolate: what the latent variables of a model hold, as pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.commands.model import Model, integers, labels_for, open_data
from jaxgen.data import Source
from jaxgen.evaluate.paired import reconstruction
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.result import Result
from jaxgen.io import images
from jaxgen.io.location import check_file, location
from jaxgen.io.progress import progress
from jaxgen.parallel import multihost
from jaxgen.parallel.batched import batched, streamed
from jaxgen.recipe import Recipe
from jaxgen.sampling.slerp import slerp

OTHER = 0x07E4  # salt: of the latent variables at the other end
COLUMNS = 4  # pairs side by side
SHOWN = 32  # of them in a report
BLOCK = 1000  # images at a time, of those whose classes are looked for


def reconstruction_of(recipe: Recipe) -> Callable[..., Array]:
    """(params, keys, x levels, cond) -> the images that the model makes of x: the mean of the likelihood at the mean of
    the posterior, where it has them. Raises ValueError where it makes none."""
    encode, decode = recipe.encode, recipe.decode
    if encode is None or decode is None:
        raise ValueError("this model has no encoder: reconstructions are for VAEs and autoencoders.")

    def reconstruct(params: Any, keys: Array, x: Array, cond: Any = None) -> Array:
        return decode(params, encode(params, keys, x, cond), None, cond)

    return reconstruct


def interpolation_of(recipe: Recipe, frames: int) -> Callable[..., Array]:
    """(params, keys, pair [B, 2, H, W, C] levels or None, cond) -> [B, frames, H, W, C]: from one image to another,
    which are those of `pair`, or drawn from the prior. Raises ValueError where the model has no latent variables."""
    latent, encode, decode = recipe.latent, recipe.encode, recipe.decode
    if decode is None:
        raise ValueError("this model has no latent variables to interpolate between: take --strip of jaxgen sample.")
    weights = jnp.linspace(0.0, 1.0, frames)

    def between(params: Any, keys: Array, pair: Array | None, cond: Any) -> tuple[Any, Any]:
        others = jax.vmap(lambda key: jax.random.fold_in(key, OTHER))(keys)
        if encode is not None and pair is not None:
            return encode(params, keys, pair[:, 0], cond), encode(params, others, pair[:, 1], cond)
        assert latent is not None
        return latent(params, keys, cond), latent(params, others, cond)

    def interpolate(params: Any, keys: Array, pair: Array | None, cond: Any = None) -> Array:
        way = jax.vmap(lambda a, b: slerp(a, b, weights))(*between(params, keys, pair, cond))
        every = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), way)
        drawn = decode(params, every, None, jax.tree.map(lambda c: jnp.repeat(c, frames, 0), cond))
        return drawn.reshape(-1, frames, *drawn.shape[1:])

    return interpolate


def reconstructed(model: Model, x: np.ndarray, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """The images that the model makes of x [n, H, W, C], in integer levels."""
    compute = batched(reconstruction_of(model.recipe), model.mesh)
    with progress(len(x), unit="image") as show:
        size = model.run.config.sampling.batch_size
        made = compute(model.params, seed, (x, labels), len(x), size, show.update)
    return integers(made, model.run.spec.levels)


def interpolated(
    model: Model, num: int, frames: int, seed: int, pairs: np.ndarray | None, labels: np.ndarray | None
) -> np.ndarray:
    """`num` rows of `frames` images [num, frames, H, W, C] in integer levels: between the images of each of `pairs`, of
    classes `labels`, see `ends_of`; for None between draws of the prior."""
    compute = batched(interpolation_of(model.recipe, frames), model.mesh)
    made = compute(model.params, seed, (pairs, labels), num, model.run.config.sampling.batch_size)
    return integers(made.reshape(-1, *made.shape[2:]), model.run.spec.levels).reshape(made.shape)


def ends_of(model: Model, num: int, label: str | None = None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The `num` pairs of images [num, 2, H, W, C] that `interpolated` goes between, and their classes; None where the
    model has no encoder, and where it is told no class. Raises ValueError where there are no such pairs."""
    labels = labels_for(model.run, num, label)
    if model.recipe.encode is None:
        return None, labels
    section = model.run.config.data
    source = open_data(model.run, section.test_split)
    if labels is None:
        if source.spec.size < 2:
            raise ValueError(f"interpolations go between two images, but data.test_split={section.test_split} has one.")
        rows = np.arange(2 * num) % source.spec.size
    else:
        asked = range(model.run.spec.num_classes or 0) if label is None else dict.fromkeys(labels.tolist())
        of_class = members(source, asked, 2 * num)
        few = [c for c, found in of_class.items() if len(found) < 2]
        if few and (label is not None or len(few) == len(of_class)):
            raise ValueError(
                f"interpolations go between two images of a class, but data.test_split={section.test_split} has "
                f"{len(of_class[few[0]])} of class {few[0]}: take another --label, or another split."
            )
        if few:
            labels = np.resize(np.array([c for c in of_class if c not in few], np.int32), num)
        rows = pairs_of(of_class, labels)
    x: np.ndarray = source.records[rows]["x"]
    return x.reshape(num, 2, *source.spec.shape), labels


def members(source: Source, classes: Iterable[int], most: int) -> dict[int, list[int]]:
    """The first `most` images of each of these classes, reading no further than that."""
    found: dict[int, list[int]] = {c: [] for c in classes}
    for start in range(0, source.spec.size, BLOCK):
        rows = np.arange(start, min(start + BLOCK, source.spec.size))
        for row, c in zip(rows.tolist(), source.records[rows]["label"].tolist(), strict=True):
            if len(found.get(c, range(most))) < most:
                found[c].append(row)
        if all(len(those) == most for those in found.values()):
            break
    return found


def pairs_of(of_class: Mapping[int, Sequence[int]], labels: np.ndarray) -> np.ndarray:
    """Two different images of each of `labels`, one pair after the other [2 num], each class going round its own."""
    cycles = {c: cycle(found) for c, found in of_class.items()}
    return np.array([next(cycles[c]) for c in labels.tolist() for _ in range(2)])


def reconstruct(model: Model, split: str | None, num: int, seed: int, out: str) -> str:
    """The first `num` images of `split` (default: the test split), each left of what the model makes of it, in the
    picture `out`; says how far they are apart."""
    check(out)
    source = open_data(model.run, split or model.run.config.data.test_split)
    batch = source.records[np.arange(min(num, source.spec.size))]
    x, labels = batch["x"], batch["label"] if model.run.config.data.conditional else None
    made = reconstructed(model, x, labels, seed)
    top = model.run.spec.levels - 1
    if multihost.is_main():
        images.save(out, pairs(x, made, top))
    found = {figure.name: figure.value for figure in reconstruction.figures(reconstruction.errors(x, made, top + 1))}
    return f"wrote {len(x)} images and their reconstructions to {out}: PSNR {found['PSNR']:.2f} dB."


def reconstructions(model: Model, seed: int) -> tuple[list[Result], list[Picture]]:
    """How well the model makes the images of the test split, which codes it uses for them, and what the first look
    like."""
    run, recipe = model.run, model.recipe
    make, codes = reconstruction_of(recipe), recipe.codes
    source, labelled = open_data(run, run.config.data.test_split), run.config.data.conditional
    n = source.spec.size

    def both(params: Any, keys: Array, x: Array, cond: Any = None) -> tuple[Array, Array, tuple[Array, ...]]:
        return x, make(params, keys, x, cond), () if codes is None else codes(params, keys, x, cond)

    def given(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        batch = source.records[rows]
        return batch["x"], batch["label"] if labelled else None

    squared: list[np.ndarray] = []
    counts = [np.zeros(size, np.int64) for size in recipe.codebooks]
    shown: np.ndarray | None = None
    done = 0
    with progress(n, unit="image") as show:
        stream = streamed(both, model.mesh)
        for x, drawn, indices in stream(model.params, seed, given, n, run.config.sampling.batch_size):
            made = integers(drawn, run.spec.levels)
            squared.append(reconstruction.errors(x, made, run.spec.levels))
            counts = [a + b for a, b in zip(counts, reconstruction.uses(indices, recipe.codebooks), strict=True)]
            shown = pairs(x[:SHOWN], made[:SHOWN], run.spec.levels - 1) if shown is None else shown
            done += len(x)
            show.update(done)
    assert shown is not None
    figures = reconstruction.figures(np.concatenate(squared), counts if codes is not None else ())
    protocol = f"Reconstructions of {run.config.data.test_split}, means where the model is random"
    caption = "Test images, each left of what the model makes of it: the mean, where that is random."
    return [figure._replace(protocol=protocol) for figure in figures], [Picture("Reconstructions", shown, caption)]


def pairs(x: np.ndarray, made: np.ndarray, top: int) -> np.ndarray:
    """A grid of images, each left of its reconstruction."""
    tiles = np.stack([images.to_uint8(part, 0, top) for part in (x, made)], 1)
    return images.grid(tiles.reshape(-1, *x.shape[1:]), 2 * COLUMNS)


def interpolate(model: Model, num: int, frames: int, seed: int, label: str | None, out: str) -> str:
    """`interpolated` images, a row each, in the picture `out`."""
    check(out)
    made = interpolated(model, num, frames, seed, *ends_of(model, num, label))
    if multihost.is_main():
        images.save(out, rows(made, model.run.spec.levels - 1))
    return f"wrote {num} rows from one image to another to {out}."


def rows(made: np.ndarray, top: int) -> np.ndarray:
    """A grid with a row for each of the first axis of [n, frames, H, W, C]."""
    return images.grid(images.to_uint8(made, 0, top).reshape(-1, *made.shape[2:]), made.shape[1])


def check(out: str) -> None:
    """Raises ValueError unless `out` names a PNG file."""
    if not out.endswith(".png"):
        raise ValueError(f"--out must end in .png, got {out}.")
    check_file("--out", location(out))
