"""One of the two sets of images that an evaluation compares: a folder, an .npz file, or a split of a tfds data set.

DIR[:SPLIT]      PNG, JPEG or WebP files, classes by sub-folder (see `jaxgen.data.folder`)
FILE.npz         "arr_0" uint8 [n, H, W, C] or videos [n, T, H, W, C], and "arr_1" labels [n], as guided-diffusion
                 writes samples, or "images", "labels" and their "levels", as jaxgen does; or statistics of features
                 in their place (see `jaxgen.evaluate.stream.statistics`)
NAME[:SPLIT]     digits, emoji32 or any set of tfds; without a split "train"
"""

import hashlib
import os
import re
import warnings
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen import data
from jaxgen.data.folder import bases_of, files, open_folder
from jaxgen.data.images import open_image, read_image
from jaxgen.data.prepared import EMBEDDED, find, quiet
from jaxgen.data.records import Records, Source
from jaxgen.evaluate.distribution.blocks import View
from jaxgen.io import archive, images
from jaxgen.io.location import readable
from jaxgen.io.progress import progress

READERS = 8  # threads that decode image files
NAMED = re.compile(r"(?P<name>.+?)(:(?P<split>[A-Za-z_]\w*(\[.*\])?))?")


@dataclass(frozen=True, eq=False)
class Side:
    """n images, or statistics of them.

    name:       how a reader calls it: "photos", "digits:train[:90%]".
    rows:       uint8 [n, H, W, C] in 0 ... 255, len(rows) and slices rows[a:b]; none where there are statistics only.
    labels:     int [n] classes, or None.
    classes:    their names, () without.
    files:      the name of each image, for people.
    size:       to which images were cut and resampled, if at all.
    statistics: the file of statistics that stands for the images, or None.
    levels:     how many values a pixel has: level k of them is round(255 k / (levels - 1)) in the rows.
    key:        all that decides the rows, for what is kept of them on disk.
    role:       "real", or "train" where the images that they are compared with are of a model that was trained on them.
    left_out:   how many damaged files of a folder are not among them.
    """

    name: str
    rows: Any
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    files: Sequence[str] = ()
    size: int | None = None
    statistics: Path | None = None
    levels: int = 256
    key: str = ""
    role: str = "real"
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.rows)


def open_side(text: str, image_size: int | None = None, skip_bad: bool = False) -> Side:
    """The images that `text` names, as said above. With `image_size` the central square of each image of a folder or a
    data set is resampled to that many pixels a side. With `skip_bad` all files of a folder are read before, and damaged
    ones are left out with a warning each.

    Raises ValueError where there are none, or they cannot be read.
    """
    path = Path(text).expanduser()
    if path.suffix == ".npz":
        return of_file(path)
    if text and path.is_dir():
        return of_folder(path, "train", image_size, skip_bad)
    found = NAMED.fullmatch(text)
    if found is None or path.exists():
        other = f"the file {text}" if path.is_file() else repr(text)
        raise ValueError(
            f"expected a folder, an .npz file or a tfds data set NAME:SPLIT, got {other}: correct the path."
        )
    name, split = found["name"], found["split"] or "train"
    path = Path(name).expanduser()
    if path.is_dir():
        return of_folder(path, split, image_size, skip_bad)
    if path.is_absolute() or len(path.parts) > 1 and path.parent.is_dir():
        raise ValueError(f"there is no folder {path}: correct the path.")
    return of_source(data.load(name, split, image_size=image_size), f"{name}:{split}", image_size, stored(name))


def of_file(path: Path) -> Side:
    """The images of an .npz file, or the statistics that it has in place of them."""
    names = archive.names(path)
    images_of = next((name for name in ("arr_0", "images") if name in names), None)
    if images_of is None:
        if {"mu", "sigma"} <= {*names} or "pool_3" in names:
            return Side(readable(path.name), (), statistics=path, key=stamp([path]))
        raise ValueError(
            f"expected arr_0 or images, or statistics mu and sigma, in {path}, got {', '.join(names) or 'nothing'}."
        )
    rows = archive.Member(path, images_of)
    if rows.shape[:1] == (0,):
        raise ValueError(f"there are no images in {path}, whose {images_of} has the shape {rows.shape}.")
    if rows.dtype != np.uint8 or len(rows.shape) not in (4, 5) or rows.shape[-1] not in (1, 3) or 0 in rows.shape:
        raise ValueError(
            f"images must be uint8 [n, H, W, 1 or 3] in 0 ... 255, got {rows.dtype} {rows.shape} as {images_of} in "
            f"{path}: {'reshape' if rows.dtype == np.uint8 else 'scale, round and convert'} them."
        )
    beside = {"arr_0": "arr_1", "images": "labels"}[images_of]
    classes = archive.Member(path, beside) if beside in names else None
    if classes is not None and (classes.shape != (len(rows),) or classes.dtype.kind not in "iu"):
        raise ValueError(
            f"expected {len(rows)} whole numbers as {beside} in {path}, got {classes.dtype} {classes.shape}: write it "
            "anew."
        )
    labels = None if classes is None else classes[:]
    levels = levels_of(path) if "levels" in names else 256
    statistics = path if {"mu", "sigma"} <= {*names} else None
    key, shown = f"{levels} {stamp([path])}", scaled(Checked(rows, levels, path), levels)
    return Side(readable(path.name), shown, labels, statistics=statistics, levels=levels, key=key)


def levels_of(path: Path) -> int:
    """How many values a pixel has by the array "levels" [1] of an .npz file."""
    found = archive.Member(path, "levels")
    if found.shape != (1,) or found.dtype.kind not in "iu" or not 2 <= found[:][0] <= 256:
        raise ValueError(
            f"expected one whole number from 2 to 256 as levels in {path}, got {found.dtype} {found.shape}"
            f"{f' of {found[:][0]}' if found.shape == (1,) else ''}: write it anew."
        )
    return int(found[:][0])


class Checked:
    """The `rows` of the file `path`, whose values are found to be below `levels` as they are read."""

    def __init__(self, rows: Any, levels: int, path: Path):
        self.rows, self.levels, self.path = rows, levels, path

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        found: np.ndarray = self.rows[part]
        if self.levels < 256 and found.max(initial=0) >= self.levels:
            raise ValueError(
                f"expected pixels below its {self.levels} levels in {self.path}, got {found.max()}: mend either."
            )
        return found


def of_folder(folder: Path, split: str, image_size: int | None, skip_bad: bool) -> Side:
    """The images of a folder."""
    paths = files(folder, split)
    bad = damaged(paths) if skip_bad else ()
    source = open_folder(folder, split, image_size, without=bad)
    paths = [path for path in paths if path not in bad]
    check_headers(paths, image_size is None)
    base = bases_of(folder)[split.partition("[")[0]]
    shown = [path.relative_to(base).as_posix() for path in paths]
    classes = source.spec.class_names
    labels = np.array([classes.index(path.partition("/")[0]) for path in shown], np.int32) if classes else None
    name = readable(folder.name if split == "train" else f"{folder.name}:{split}")
    classes, shown = tuple(map(readable, classes)), [readable(path) for path in shown]
    key = f"{image_size} {stamp(paths)}"
    return Side(name, Files(source.records), labels, classes, shown, image_size, key=key, left_out=len(bad))


def of_source(source: Source, name: str, image_size: int | None = None, files: Sequence[Path] = ()) -> Side:
    """The images of a data set that lies in these `files`, resampled before to `image_size`. Labels are known of one
    that fits in memory: others are not read through for them."""
    records, spec = source
    rows = View(records, lambda batch: batch["x"])
    labels = records.arrays.get("label") if records.in_memory else None
    first = hashlib.sha256(np.ascontiguousarray(rows[:16]).tobytes()).hexdigest()
    key = f"{name} {len(records)} {spec.shape} {first} {stamp(files)}"
    shown = scaled(rows, spec.levels)
    return Side(name, shown, labels, spec.class_names, size=image_size, levels=spec.levels, key=key)


def stored(name: str, data_dir: str | Path | None = None) -> list[Path]:
    """The files of the data set `name`, as far as this machine has them: a folder's own, or what tfds has prepared."""
    folder = Path(name).expanduser()
    if name not in EMBEDDED and folder.is_dir():
        return [path for split in bases_of(folder) for path in files(folder, split)]
    with quiet():
        folder = Path(find(name, data_dir)[0].data_path)
    return sorted(folder.iterdir()) if folder.is_dir() else []


def scaled(rows: Any, levels: int) -> Any:
    """Rows of levels 0 ... levels - 1 as they are shown, in 0 ... 255."""
    return rows if levels == 256 else View(rows, lambda x: images.to_uint8(x, 0, levels - 1))


class Files:
    """The images of a folder, decoded by several threads."""

    def __init__(self, records: Records):
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, rows: slice) -> np.ndarray:
        if self.records.in_memory:
            return self.records[rows]["x"]
        indices = np.arange(len(self))[rows]
        with ThreadPoolExecutor(READERS) as pool:
            parts = pool.map(self.records.read, np.array_split(indices, min(READERS, max(1, len(indices)))))
        return np.concatenate([part["x"] for part in parts])


def check_headers(paths: Sequence[Path], of_one_size: bool) -> None:
    """Raises ValueError for a file that can be no image by its header, or has not the size that all must have: sooner
    than when it is read, after thousands of others."""

    def size(path: Path) -> tuple[int, int]:
        with open_image(path) as image:
            return image.size

    with ThreadPoolExecutor(READERS) as pool:
        sizes = list(pool.map(size, paths))
    # a photo may be marked as lying on its side
    other = [i for i, found in enumerate(sizes) if of_one_size and sorted(found) != sorted(sizes[0])]
    if other:
        first, wrong = ("x".join(map(str, sizes[i])) for i in (0, other[0]))
        raise ValueError(
            f"expected images of one size, got {wrong} pixels in {paths[other[0]]} after {first}: set --image_size."
        )


def damaged(paths: Sequence[Path]) -> Collection[Path]:
    """The files that hold no whole image, each told in a warning."""

    def fault(path: Path) -> str | None:
        try:
            read_image(path, grey=False)
        except ValueError as error:
            return str(error)
        return None

    bad = set()
    with ThreadPoolExecutor(READERS) as pool, progress(len(paths), unit="file") as show:
        for i, (path, reason) in enumerate(zip(paths, pool.map(fault, paths), strict=True)):
            if reason is not None:
                warnings.warn(f"left out: {reason}.", stacklevel=2)
                bad.add(path)
            show.update(i + 1)
    return bad


def stamp(paths: Sequence[Path]) -> str:
    """A digest of where the files are, their sizes and when they were last written."""
    found = hashlib.sha256()
    for path in paths:
        state = path.stat()
        found.update(os.fsencode(path.absolute()) + f"\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return found.hexdigest()
