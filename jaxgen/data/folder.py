"""A user's own folder of images, read lazily: labels from sub-folders, captions from text files."""

import os
import zlib
from collections.abc import Container
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgen.data.images import FORMATS, GREY, open_image, read_image
from jaxgen.data.records import Batch, Source, Spec, source

SPLITS = {"train", "val", "validation", "test"}


def open_folder(
    folder: str | Path,
    split: str = "train",
    image_size: int | None = None,
    center_crop: int | None = None,
    without: Container[Path] = (),
) -> Source:
    """The images below `folder`, in the order of their paths, `without` some of them.

    `folder/<class>/**/*.png` is labelled by its class, numbered in the order of the names; `folder/*.png` is not
    labelled. A folder of nothing but split folders, as in `folder/test/<class>/*.png`, is read split by split; any
    other is all `train`. A slice as in `train[:90%]` takes its share by a hash of the path, so that it is fair to
    every class. `cat.txt` holds the caption of `cat.png`. The first image decides between grey and colour. With
    `image_size` the central square of each image is resampled, that of `center_crop` pixels if given; without either,
    all must have the size of the first.
    Raises ValueError, naming the file, for anything that cannot be read so.
    """
    bases = bases_of(Path(folder).expanduser())
    listed = {key: list_images(base) for key, base in bases.items()}
    paths = [path for path in files(folder, split) if path not in without]
    if not paths:
        raise ValueError(f"expected PNG, JPEG or WebP images for {split!r} in {folder}, found none: put some there")

    class_of = {path: path.parts[len(bases[key].parts) : -1] for key in bases for path in listed[key]}
    classes = sorted({parents[0] for parents in class_of.values() if parents})
    stray = next((path for path in class_of if classes and not class_of[path]), None)
    if stray is not None:
        raise ValueError(f"expected every image in a sub-folder that names its class, got {stray}: move it into one")
    number = {name: i for i, name in enumerate(classes)}
    label = np.array([number[class_of[path][0]] for path in paths], np.int32) if classes else None
    captions = [path.with_suffix(".txt") for path in paths if path.with_suffix(".txt").exists()]
    if captions and len(captions) < len(paths):
        bare = next(path for path in paths if not path.with_suffix(".txt").exists())
        raise ValueError(f"expected a caption beside every image or none, got none for {bare}: write {bare.stem}.txt")

    with open_image(paths[0]) as first:
        grey = first.mode in GREY
    shape = read_image(paths[0], grey, image_size, center_crop).shape

    def read(rows: np.ndarray) -> Batch:
        x = np.empty((len(rows), *shape), np.uint8)
        for i, row in enumerate(rows):
            image = read_image(paths[row], grey, image_size, center_crop)
            if image.shape != shape:
                raise ValueError(
                    f"expected {shape[1]}x{shape[0]} pixels in {paths[row]} as in the first image, "
                    f"got {image.shape[1]}x{image.shape[0]}: set image_size to crop and resize"
                )
            x[i] = image
        batch = {"x": x}
        if label is not None:
            batch["label"] = label[rows]
        if captions:
            batch["caption"] = np.array([read_caption(captions[row]) for row in rows], dtype=np.str_)
        return batch

    spec = Spec(shape, 256, len(classes) or None, tuple(classes), len(paths), bool(captions))
    return source(read, spec)


def bases_of(root: Path) -> dict[str, Path]:
    """Where the images of each split lie."""
    parts = [child for child in sorted(root.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    nested = bool(parts) and {part.name for part in parts} <= SPLITS
    return {part.name: part for part in parts} if nested else {"train": root}


def files(folder: str | Path, split: str = "train") -> list[Path]:
    """The image files of a split, in the order of `open_folder`."""
    root = Path(folder).expanduser()
    bases, name = bases_of(root), split.partition("[")[0]
    if name not in bases:
        raise ValueError(
            f"expected a split among {sorted(bases)} of {root}, got {split!r}: ask for one of them or a slice"
        )
    return share(list_images(bases[name]), bases[name], split)


def list_images(base: Path) -> list[Path]:
    """Every image file below `base`, hidden ones aside, ordered by path. Files that are no images are passed over."""

    def refuse(error: OSError) -> None:
        raise ValueError(f"expected a readable folder, got {error.filename} ({error.strerror}): allow it") from error

    Image.init()
    paths = []
    for parent, folders, files in os.walk(base, onerror=refuse):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for path in (Path(parent, file) for file in files if not file.startswith(".")):
            suffix = path.suffix.lower()
            if suffix in FORMATS:
                paths.append(path)
            elif suffix in Image.EXTENSION:
                raise ValueError(f"expected PNG, JPEG or WebP images, got {path}: convert or remove it")
    return sorted(paths, key=lambda path: path.relative_to(base).parts)


def share(paths: list[Path], base: Path, split: str) -> list[Path]:
    """The part of `paths` that `split` asks for ("train[:90%]"): that share of them by hash, in the old order."""
    import tensorflow_datasets as tfds

    name = split.partition("[")[0]
    info = tfds.core.SplitInfo(name=name, shard_lengths=[len(paths)], num_bytes=0, filename_template=None)
    try:
        spans = tfds.core.ReadInstruction.from_spec(split).to_absolute({name: info})
    except Exception as error:
        raise ValueError(f"expected a split such as 'train' or 'train[:90%]', got {split!r}") from error
    order = sorted(range(len(paths)), key=lambda i: zlib.crc32(os.fsencode(paths[i].relative_to(base).as_posix())))
    return [paths[i] for i in sorted({i for span in spans for i in order[span.from_ : span.to]})]


def read_caption(path: Path) -> str:
    """The text of a caption file, without the blanks around it."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"expected UTF-8 text in {path}: save it as UTF-8") from error
