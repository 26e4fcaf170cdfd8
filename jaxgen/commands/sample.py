"""jaxgen sample: images from a trained model."""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.commands.model import Model, generate, labels_for
from jaxgen.io import atomic, images
from jaxgen.parallel.batched import example_keys

STRIP = 8  # images in a strip


def sample(model: Model, num: int, seed: int, label: str | None, out: str, strip: str | None) -> str:
    """`num` images into `out` (a PNG grid, an .npz of integer levels, or a folder of PNGs) and, with `strip`, the way
    of the first ones from noise to image."""
    check(out)
    labels = labels_for(model.run, num, label)
    if strip is not None:
        images.save(strip, path(model, min(num, STRIP), seed, labels))
    x = generate(model, num, seed, labels)
    write(x, labels, model.run.spec.levels, out)
    how = "" if model.recipe.evaluations is None else f", {model.recipe.evaluations} evaluations of the network each"
    return f"wrote {num} samples of step {model.step} to {out}{how}."


def check(out: str) -> None:
    """Raises ValueError unless `out` names a PNG file, an npz file or a folder."""
    if Path(out).suffix not in (".png", ".npz", "") and not out.endswith("/"):
        raise ValueError(f"--out must end in .png, .npz or / (a folder), got {out}.")


def write(x: np.ndarray, labels: np.ndarray | None, levels: int, out: str) -> None:
    """Images in levels [N, H, W, C] to the file or folder `out`."""
    shown = images.to_uint8(x, 0, levels - 1)
    if out.endswith(".png"):
        images.save(out, images.grid(shown))
    elif out.endswith(".npz"):
        buffer = io.BytesIO()
        arrays = {"images": x} if labels is None else {"images": x, "labels": labels}
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        atomic.write(out, buffer.getvalue())
    else:
        for i, image in enumerate(shown):
            images.save(Path(out) / f"{i:06}.png", image)


def path(model: Model, num: int, seed: int, labels: np.ndarray | None) -> np.ndarray:
    """The first `num` images on their way from noise, a row each."""
    if model.recipe.trajectory is None:
        raise ValueError("--strip needs a sampler that goes in steps: take another --sampler.")
    cond = None if labels is None else jnp.asarray(labels[:num])
    steps = jax.jit(model.recipe.trajectory)(model.params, example_keys(seed, jnp.arange(num)), cond)
    return images.strip(np.asarray(steps), low=0, high=model.run.spec.levels - 1)
