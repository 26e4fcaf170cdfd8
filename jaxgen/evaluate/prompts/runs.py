"""A run: what a model makes of a list of prompts, prompts x seeds, on disk.

FOLDER/manifest.json        the system, the prompts, the seeds, and of which of them each image is
FOLDER/images/000000.png    image r of prompt r // S and seed r % S, S the number of seeds, whole or not at all
"""

import json
import os
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.data.images import read_image
from jaxgen.evaluate.prompts.document import read_json
from jaxgen.evaluate.prompts.lists import Prompt
from jaxgen.io import atomic, images, pictures
from jaxgen.parallel import multihost
from jaxgen.schema import SEEDS

FORMAT = 1

Generate = Callable[[Sequence[str], Array], ArrayLike]  # (prompts, keys [B]) -> images uint8 [B, H, W, 1 or 3]


class Manifest(NamedTuple):
    """All that decides the images of a run: the name of the `system` that makes them, what else is to be known
    `about` it (as JSON), the prompts and the seeds."""

    system: str
    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...] = (0,)
    about: Mapping[str, Any] = {}


class Run:
    """The finished images of `manifest` in `folder`, read like an array uint8 [n, H, W, 3]: len(run), run[3:7]."""

    def __init__(self, folder: Path, manifest: Manifest):
        self.folder, self.manifest = folder, manifest

    def __len__(self) -> int:
        return len(self.manifest.prompts) * len(self.manifest.seeds)

    def __getitem__(self, rows: slice) -> np.ndarray:
        read = [read_image(self.path(row), grey=False) for row in range(len(self))[rows]]
        if len({image.shape for image in read}) > 1:
            raise ValueError(f"the images in {self.folder} must be of one size: generate them again.")
        return np.stack(read)

    def prompt(self, row: int) -> Prompt:
        return self.manifest.prompts[row // len(self.manifest.seeds)]

    def seed(self, row: int) -> int:
        return self.manifest.seeds[row % len(self.manifest.seeds)]

    def path(self, row: int) -> Path:
        return self.folder / "images" / f"{row:06}.png"


def generate(
    folder: str | os.PathLike,
    manifest: Manifest,
    fn: Generate,
    batch_size: int = 16,
    done: Callable[[int], None] = lambda count: None,
) -> Run:
    """The run of `manifest` in `folder`: a new one, or the one that was begun there, of which the missing images are
    made. `done` hears how many are there.

    An image has the key fold_in(key(seed), crc32(prompt)), so that it depends on its prompt and its seed alone, if fn
    treats images one by one: not on the batch, the other prompts or their order. Every call is of `batch_size`, the
    last prompt repeated, so that a jitted fn is compiled once. All processes call alike, and process 0 writes. Raises
    ValueError where the folder holds another run, or fn returns anything but images.
    """
    run = Run(Path(folder), manifest)
    check(manifest)
    if batch_size < 1:
        raise ValueError(f"the batch size of a run must be at least 1, got {batch_size}.")
    main = multihost.is_main()
    if main:
        begin(run)
    there = multihost.agree(np.array([main and run.path(row).exists() for row in range(len(run))]))[0]
    missing = np.flatnonzero(~there).tolist()
    size = read_image(run.path(int(there.argmax())), grey=False).shape[:2] if main and there.any() else (0, 0)
    size = tuple(multihost.agree(np.array(size))[0].tolist())  # of the images that are there, (0, 0) before the first
    keys = keys_of(run)
    with ThreadPoolExecutor(pictures.AT_ONCE) as pool:
        for start in range(0, len(missing), batch_size):
            rows = missing[start : start + batch_size]
            asked = [*rows, *[rows[-1]] * (batch_size - len(rows))]
            made = np.asarray(fn([run.prompt(row).text for row in asked], keys[np.array(asked)]))
            if made.dtype != np.uint8 or made.ndim != 4 or len(made) != batch_size or made.shape[-1] not in (1, 3):
                raise ValueError(
                    f"expected images uint8 [{batch_size}, H, W, 1 or 3] of {batch_size} prompts, got {made.dtype} "
                    f"{made.shape}: map them with jaxgen.io.images.to_uint8."
                )
            if size not in (made.shape[1:3], (0, 0)):
                raise ValueError(f"the images of a run must be of one size, got {made.shape[1:3]} after {size}.")
            size = made.shape[1:3]
            if main:
                deque(pool.map(images.save, map(run.path, rows), made), maxlen=0)
            done(len(run) - len(missing) + start + len(rows))
    multihost.barrier("all images of the prompts are written")
    return run


def singly(fn: Generate) -> Generate:
    """What a function of prompts and one key makes of each prompt alone, with its own key: any function with a random
    key for its whole batch gives the same images in any batch then."""

    def each(prompts: Sequence[str], keys: Array) -> np.ndarray:
        return np.concatenate([np.asarray(fn([text], key)) for text, key in zip(prompts, keys, strict=True)])

    return each


def open_run(folder: str | os.PathLike) -> Run:
    """The finished run in `folder`. Raises ValueError where there is none, or it lacks an image."""
    folder = Path(folder)
    if (manifest := read(folder)) is None:
        raise ValueError(f"expected a run with a manifest.json in {folder}, found none: generate its images there.")
    run = Run(folder, manifest)
    missing = [row for row in range(len(run)) if not run.path(row).exists()]
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of {len(run)} images, the first {run.path(missing[0]).name}: generate the "
            "same run there again, which goes on."
        )
    return run


def check(manifest: Manifest) -> None:
    seeds = manifest.seeds
    if not manifest.prompts or not seeds:
        raise ValueError(f"a run needs prompts and seeds, got {len(manifest.prompts)} and {len(seeds)} of them.")
    if len(set(seeds)) < len(seeds) or not all(isinstance(x, int) and SEEDS[0] <= x <= SEEDS[1] for x in seeds):
        raise ValueError(f"the seeds of a run must be different integers in {SEEDS[0]} .. {SEEDS[1]}, got {seeds}.")
    try:
        plain(manifest)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"what is known about a run must be finite JSON, but {error}: write it as text.") from None


def begin(run: Run) -> None:
    """Put the manifest in place, or find the same one there. What a killed process left half-written is removed."""
    there = read(run.folder)
    if there is None and (run.folder / "images").exists():
        raise ValueError(f"{run.folder} holds images but no manifest.json: take another folder.")
    if there is None:
        atomic.write(run.folder / "manifest.json", document(run))
    for name in Manifest._fields if there is not None else ():
        if plain(getattr(there, name)) != plain(getattr(run.manifest, name)):
            raise ValueError(f"{run.folder} holds a run with another {name.removesuffix('s')}: take another folder.")
    for path in (run.folder / "images").glob(".*"):
        if pictures.LEFT.fullmatch(path.name):
            path.unlink(missing_ok=True)


def document(run: Run) -> bytes:
    """The manifest as JSON, image by image."""
    system, _, seeds, about = run.manifest
    whole = {"format": FORMAT, "system": system, "about": about, "seeds": seeds, "images": listed(run)}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def listed(run: Run) -> list[dict[str, Any]]:
    """Of what each image is."""
    return [
        {"file": f"images/{run.path(row).name}", "seed": run.seed(row), **run.prompt(row)._asdict()}
        for row in range(len(run))
    ]


def plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value, allow_nan=False))


def read(folder: Path) -> Manifest | None:
    """The manifest in `folder`, None where there is none. Raises ValueError where it is no manifest."""
    path = folder / "manifest.json"
    try:
        found = read_json(path)
        if found["format"] == FORMAT:
            seeds = tuple(found["seeds"])
            prompts = (Prompt(*map(image.get, Prompt._fields)) for image in found["images"][:: len(seeds)])
            manifest = Manifest(found["system"], tuple(prompts), seeds, found["about"])
            texts = (manifest.system, *(field for prompt in manifest.prompts for field in prompt))
            check(manifest)
            if listed(Run(folder, manifest)) != found["images"] or not all(isinstance(text, str) for text in texts):
                raise ValueError("its images are not those of prompts x seeds")
            return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the manifest of a run: restore it, or take another folder.") from error
    raise ValueError(f"{path} has format {found['format']}, but this version of jaxgen reads format {FORMAT}.")


def keys_of(run: Run) -> Array:
    """The key of every image [n]."""
    seeds = np.array([run.seed(row) for row in range(len(run))], np.uint32)
    words = np.array([zlib.crc32(run.prompt(row).text.encode()) for row in range(len(run))], np.uint32)
    return jax.vmap(lambda seed, word: jax.random.fold_in(jax.random.key(seed), word))(
        jnp.asarray(seeds), jnp.asarray(words)
    )
