"""jaxgen sample: images from a trained model."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.commands import question
from jaxgen.commands.model import Model, generated, labels_for
from jaxgen.io import atomic, images, pictures
from jaxgen.io.location import check_file, check_folder, location
from jaxgen.io.progress import progress
from jaxgen.io.rows import Rows, complete
from jaxgen.parallel import multihost
from jaxgen.parallel.batched import batch_of, example_keys
from jaxgen.parallel.mesh import replicated

STRIP = 8  # images in a strip


def sample(model: Model, num: int, seed: int, label: str | None, out: str, strip: str | None) -> str:
    """`num` images into `out` (a PNG grid, an .npz of integer levels, or a folder of PNGs) and, with `strip`, the way
    of the first ones from noise to image. Batches are on disk when they are drawn, in a folder beside `out`, so that
    the same command goes on where one was killed."""
    check(out, num)
    if strip is not None:
        check_file("--strip", location(strip))
    labels = labels_for(model.run, num, label)
    if strip is not None:
        shown = path(model, min(num, STRIP), seed, labels)
        if multihost.is_main():
            images.save(strip, shown)
    rows = rows_of(model, location(out).parent / f"{location(out).name}.parts", num, seed, labels)
    draw(model, seed, labels, rows)
    if multihost.is_main():
        if out.endswith(".png"):
            write_grid(out, rows, model.run.spec.levels)
        elif out.endswith(".npz"):
            write_arrays(out, rows, labels, model.run.spec.levels)
        else:
            pictures.write(location(out), rows, model.run.spec.levels)
        rows.remove()
    how = "" if model.recipe.evaluations is None else f", {model.recipe.evaluations} evaluations of the network each"
    return f"wrote {num} samples of step {model.step} to {out}{how}."


def check(out: str, num: int) -> None:
    """Raises ValueError unless `out` names a PNG file, an npz file or a folder that can take `num` pictures."""
    if Path(out).suffix not in (".png", ".npz", "") and not out.endswith("/"):
        raise ValueError(f"--out must end in .png, .npz or / (a folder), got {out}.")
    if out.endswith((".png", ".npz")):
        check_file("--out", location(out))
    elif multihost.is_main():
        check_folder("--out", location(out))
        pictures.check(location(out), num)


def rows_of(model: Model, path: Path, num: int, seed: int, labels: np.ndarray | None) -> Rows:
    """Where `draw` puts `num` samples, a batch in a part."""
    size = batch_of(num, model.run.config.sampling.batch_size, model.mesh)
    return Rows(path, question.of_samples(model, seed, labels), num, size)


def draw(model: Model, seed: int, labels: np.ndarray | None, rows: Rows) -> None:
    """The samples that are not in `rows` yet."""
    with progress(len(rows), unit="image") as show:
        complete(rows, lambda parts: generated(model, len(rows), seed, labels, parts), show.update)


def write_grid(out: str, rows: Rows, levels: int) -> None:
    """A PNG of all images side by side."""
    images.save(out, images.grid(np.concatenate([images.to_uint8(x, 0, levels - 1) for x in rows])))


def write_arrays(out: str, rows: Rows, labels: np.ndarray | None, levels: int) -> None:
    """An .npz of "images" in levels, how many "levels" there are [1], and "labels" where there are any: as
    np.savez_compressed writes it, but part by part."""
    arrays: dict[str, tuple[int, Iterable[np.ndarray]]] = {
        "images": (rows.n, rows),
        "levels": (1, [np.array([levels])]),
    }
    if labels is not None:
        arrays["labels"] = rows.n, [labels]
    with atomic.opened(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        for name, (n, parts) in arrays.items():
            with members.open(f"{name}.npy", "w", force_zip64=True) as member:
                for i, part in enumerate(parts):
                    if not i:
                        header = np.lib.format.header_data_from_array_1_0(part)
                        header["shape"] = (n, *part.shape[1:])
                        np.lib.format.write_array_header_1_0(member, header)
                    member.write(np.ascontiguousarray(part).tobytes())


def path(model: Model, num: int, seed: int, labels: np.ndarray | None) -> np.ndarray:
    """The first `num` images on their way from noise, a row each."""
    trajectory = model.recipe.trajectory
    if model.run.config.family != "diffusion":
        raise ValueError(
            "--strip shows a diffusion model's way from noise to image, which a model of family="
            f"{model.run.config.family} does not go: leave it out."
        )
    if trajectory is None:
        raise ValueError("--strip needs a sampler that goes in steps: take another --sampler.")
    cond = None if labels is None else labels[:num]
    way = jax.jit(
        lambda params: trajectory(params, example_keys(seed, jnp.arange(num)), cond),
        out_shardings=replicated(model.mesh),
    )
    return images.strip(np.asarray(way(model.params)), low=0, high=model.run.spec.levels - 1)
