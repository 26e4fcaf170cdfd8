"""Images that another program made of a list of prompts, as a run.

Sorted by their names, with numbers in them compared as numbers, the images of the first prompt come first: S files for
each prompt, as in 0000.png, 0001.png, ... or PROMPT/SEED.png.
"""

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaxgen.data.images import FORMATS, read_image
from jaxgen.evaluate.prompts.lists import Prompt
from jaxgen.evaluate.prompts.runs import Manifest, Run, begin, check
from jaxgen.io import images, pictures


def adopt(
    folder: str | os.PathLike,
    system: str,
    prompts: Sequence[Prompt],
    source: Path,
    done: Callable[[int], None] = lambda count: None,
) -> Run:
    """The run in `folder` of the images in `source` that `system` made of these prompts, as PNG. A call that was killed
    goes on. `done` hears how many are there.

    The manifest keeps a checksum of their names and bytes, so that other images are not taken for these. Raises
    ValueError where they are not as many for each prompt or not of one size, or the folder holds another run.
    """
    paths = images_in(source)
    each, rest = divmod(len(paths), len(prompts))
    if not each or rest:
        raise ValueError(
            f"expected as many images for each of {len(prompts)} prompts in {source}, got {len(paths)} in all: leave "
            "there what was made of this list, and nothing else."
        )
    about = {"images": source.absolute().name, "sha256": digest(source, paths)}
    run = Run(Path(folder), Manifest(system, tuple(prompts), tuple(range(each)), about))
    check(run.manifest)
    size = read_image(paths[0], grey=False).shape[:2]

    def copy(row: int) -> None:
        if not run.path(row).exists():
            image = read_image(paths[row], grey=False)
            if image.shape[:2] != size:
                raise ValueError(
                    f"the images of a run must be of one size, got {image.shape[:2]} in {paths[row]} after {size}."
                )
            images.save(run.path(row), image)

    begin(run)
    with ThreadPoolExecutor(pictures.AT_ONCE) as pool:
        for start in range(0, len(run), pictures.AT_ONCE):
            rows = range(len(run))[start : start + pictures.AT_ONCE]
            deque(pool.map(copy, rows), maxlen=0)
            done(rows[-1] + 1)
    return run


def images_in(source: Path) -> list[Path]:
    """The image files in `source` and in its folders, in the order of their names."""
    if not source.is_dir():
        raise ValueError(f"expected a folder of images in {source}, found none.")
    paths = [path for path in source.rglob("*") if path.suffix.lower() in FORMATS and path.is_file()]
    return sorted(paths, key=lambda path: natural(path.relative_to(source).as_posix()))


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts 9.png before 10.png."""
    parts = re.split(r"([0-9]+)", name)
    return [(i % 2 == 0, int(part) if i % 2 else 0, "" if i % 2 else part) for i, part in enumerate(parts)], name


def digest(source: Path, paths: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(os.fsencode(path.relative_to(source)) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
