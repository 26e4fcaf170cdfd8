"""One door to all data: a tfds name or a folder."""

from pathlib import Path

from jaxgen.data.folder import open_folder
from jaxgen.data.prepared import EMBEDDED, open_prepared
from jaxgen.data.records import Source


def load(
    name: str | Path, split: str = "train", data_dir: str | Path | None = None, image_size: int | None = None
) -> Source:
    """The split of a data set: an embedded one (digits, emoji32), any of tfds, or a folder of images.

    `split` may be sliced as in tfds, "train[:90%]". `data_dir` is where tfds keeps prepared sets. With `image_size`
    the central square of every image is resampled to that many pixels a side. Raises ValueError.
    """
    path = Path(name).expanduser()
    if str(name) not in EMBEDDED and path.is_dir():
        return open_folder(path, split, image_size)
    if path.is_absolute() or str(name).startswith((".", "~")):
        raise ValueError(f"expected a folder of images at {path}, found none: correct the path")
    return open_prepared(str(name), split, data_dir, image_size)
