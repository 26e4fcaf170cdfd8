"""One door to all data: a tfds name or a folder."""

from pathlib import Path

from jaxgen.data.folder import open_folder
from jaxgen.data.prepared import EMBEDDED, describe_prepared, open_prepared
from jaxgen.data.records import Source, Spec


def load(
    name: str | Path,
    split: str = "train",
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    center_crop: int | None = None,
) -> Source:
    """The split of a data set: an embedded one (digits, emoji32), any of tfds, or a folder of images.

    `split` may be sliced as in tfds, "train[:90%]". `data_dir` is where tfds keeps prepared sets. With `image_size`
    the central square of every image is resampled to that many pixels a side; with `center_crop` a central square of so
    many is cut out before. Raises ValueError.
    """
    path = Path(name).expanduser()
    if str(name) not in EMBEDDED and path.is_dir():
        return open_folder(path, split, image_size, center_crop)
    if path.is_absolute() or str(name).startswith((".", "~")):
        raise ValueError(f"expected a folder of images at {path}, found none: correct the path")
    return open_prepared(str(name), split, data_dir, image_size, center_crop)


def describe(
    name: str | Path,
    split: str = "train",
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    center_crop: int | None = None,
) -> Spec:
    """The spec of a data set that need not be here: of its data where they are, else as far as it follows from the
    name and the sizes, with size 0. Nothing is fetched. Arguments and errors as those of `load`."""
    path, side = Path(name).expanduser(), image_size or center_crop
    if str(name) in EMBEDDED or path.is_dir():
        return load(name, split, data_dir, image_size, center_crop).spec
    absent = Spec((side, side, 3), 256, None, (), 0) if side else None
    if path.is_absolute() or str(name).startswith((".", "~")):
        if absent is None:
            raise ValueError(f"expected a folder of images at {path}, found none: correct the path, or set image_size")
        return absent
    try:
        spec = describe_prepared(str(name), data_dir, image_size, center_crop)
    except ValueError:
        if absent is None or "/" not in str(name):
            raise
        return absent
    return spec or load(name, split, data_dir, image_size, center_crop).spec
