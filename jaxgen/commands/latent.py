"""jaxgen reconstruct and interpolate: what the latent variables of a model hold, as pictures."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.commands.model import Model, integers, labels_for, open_data
from jaxgen.data import Source
from jaxgen.evaluate import reconstruction
from jaxgen.evaluate.report import Picture
from jaxgen.evaluate.result import Result
from jaxgen.io import images
from jaxgen.io.progress import progress
from jaxgen.parallel import multihost
from jaxgen.parallel.batched import batched, streamed
from jaxgen.recipe import Recipe
from jaxgen.sampling.slerp import slerp

OTHER = 0x07E4  # salt: of the latent variables at the other end
COLUMNS = 4  # pairs side by side
SHOWN = 32  # of them in a report


def reconstruction_of(recipe: Recipe) -> Callable[..., Array]:
    """(params, keys, x levels, cond) -> the images that the model makes of x. Raises ValueError where it makes none."""
    encode, decode = recipe.encode, recipe.decode
    if encode is None or decode is None:
        raise ValueError("this model has no encoder: reconstructions are for VAEs and autoencoders.")

    def reconstruct(params: Any, keys: Array, x: Array, cond: Any = None) -> Array:
        return decode(params, encode(params, keys, x, cond), keys, cond)

    return reconstruct


def interpolation_of(recipe: Recipe, frames: int) -> Callable[..., Array]:
    """(params, keys, pair [B, 2, H, W, C] levels or None, cond) -> [B, frames, H, W, C]: from one image to another,
    which are those of `pair`, or drawn from the prior. Raises ValueError where the model has no latent variables."""
    latent, encode, decode = recipe.latent, recipe.encode, recipe.decode
    if decode is None:
        raise ValueError("this model has no latent variables to interpolate between: take --strip of jaxgen sample.")
    weights = jnp.linspace(0.0, 1.0, frames)

    def ends(params: Any, keys: Array, pair: Array | None, cond: Any) -> tuple[Any, Any]:
        others = jax.vmap(lambda key: jax.random.fold_in(key, OTHER))(keys)
        if encode is not None and pair is not None:
            return encode(params, keys, pair[:, 0], cond), encode(params, others, pair[:, 1], cond)
        assert latent is not None
        return latent(params, keys, cond), latent(params, others, cond)

    def interpolate(params: Any, keys: Array, pair: Array | None, cond: Any = None) -> Array:
        way = jax.vmap(lambda a, b: slerp(a, b, weights))(*ends(params, keys, pair, cond))
        every = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), way)
        drawn = decode(params, every, jnp.repeat(keys, frames), jax.tree.map(lambda c: jnp.repeat(c, frames, 0), cond))
        return drawn.reshape(-1, frames, *drawn.shape[1:])

    return interpolate


def reconstructed(model: Model, x: np.ndarray, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """The images that the model makes of x [n, H, W, C], in integer levels."""
    compute = batched(reconstruction_of(model.recipe), model.mesh)
    with progress(len(x), unit="image") as show:
        size = model.run.config.sampling.batch_size
        made = compute(model.params, seed, (x, labels), len(x), size, show.update)
    return integers(made, model.run.spec.levels)


def interpolated(model: Model, num: int, frames: int, seed: int, label: str | None = None) -> np.ndarray:
    """`num` rows of `frames` images [num, frames, H, W, C] in integer levels: between images of the test split where
    the model has an encoder, of one class if it is told classes; between draws of the prior otherwise."""
    pairs, labels = None, labels_for(model.run, num, label)
    if model.recipe.encode is not None:
        pairs = pairs_of(open_data(model.run, model.run.config.data.test_split), num, labels)
    compute = batched(interpolation_of(model.recipe, frames), model.mesh)
    made = compute(model.params, seed, (pairs, labels), num, model.run.config.sampling.batch_size)
    return integers(made.reshape(-1, *made.shape[2:]), model.run.spec.levels).reshape(made.shape)


def pairs_of(source: Source, num: int, labels: np.ndarray | None) -> np.ndarray:
    """`num` pairs of different images of `source`, [num, 2, H, W, C]; the i-th of class labels[i] where there are."""
    if labels is None:
        rows = np.arange(2 * num) % source.spec.size
        return source.records[rows]["x"].reshape(num, 2, *source.spec.shape)
    every = source.records[np.arange(source.spec.size)]
    of_class = [np.flatnonzero(every["label"] == c) for c in range(source.spec.num_classes or 0)]
    taken = [0] * len(of_class)
    chosen: list[int] = []
    for c in labels:
        chosen += [of_class[c][(taken[c] + k) % len(of_class[c])] for k in range(2)]
        taken[c] += 2
    return every["x"][np.array(chosen)].reshape(num, 2, *source.spec.shape)


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

    def both(params: Any, keys: Array, x: Array, cond: Any = None) -> tuple[Array, tuple[Array, ...]]:
        return make(params, keys, x, cond), () if codes is None else codes(params, keys, x, cond)

    def given(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        batch = source.records[rows]
        return batch["x"], batch["label"] if labelled else None

    squared: list[np.ndarray] = []
    counts = [np.zeros(size, np.int64) for size in recipe.codebooks]
    shown: np.ndarray | None = None
    done = 0
    with progress(n, unit="image") as show:
        for made, indices in streamed(both, model.mesh)(model.params, seed, given, n, run.config.sampling.batch_size):
            x, made = given(np.arange(done, done + len(made)))[0], integers(made, run.spec.levels)
            squared.append(reconstruction.errors(x, made, run.spec.levels))
            counts = [a + b for a, b in zip(counts, reconstruction.uses(indices, recipe.codebooks), strict=True)]
            shown = pairs(x[:SHOWN], made[:SHOWN], run.spec.levels - 1) if shown is None else shown
            done += len(x)
            show.update(done)
    assert shown is not None
    figures = reconstruction.figures(np.concatenate(squared), counts if codes is not None else ())
    protocol = f"Reconstructions of {run.config.data.test_split}"
    caption = "Test images, each left of what the model makes of it."
    return [figure._replace(protocol=protocol) for figure in figures], [Picture("Reconstructions", shown, caption)]


def pairs(x: np.ndarray, made: np.ndarray, top: int) -> np.ndarray:
    """A grid of images, each left of its reconstruction."""
    tiles = np.stack([images.to_uint8(part, 0, top) for part in (x, made)], 1)
    return images.grid(tiles.reshape(-1, *x.shape[1:]), 2 * COLUMNS)


def interpolate(model: Model, num: int, frames: int, seed: int, label: str | None, out: str) -> str:
    """`interpolated` images, a row each, in the picture `out`."""
    check(out)
    made = interpolated(model, num, frames, seed, label)
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
