"""tfds data sets without TensorFlow: prepared once as array_record files, read at random."""

import contextlib
import importlib
import io
import logging
import os
import pkgutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxgen.data import builders
from jaxgen.data.images import central, resize_array
from jaxgen.data.records import Batch, Source, Spec, source

EMBEDDED = tuple(module.name for module in pkgutil.iter_modules(builders.__path__))


def open_prepared(
    name: str,
    split: str = "train",
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    center_crop: int | None = None,
) -> Source:
    """Split `split` ("train", "test", "train[:90%]", ...) of the tfds data set `name`, prepared here if need be.

    `data_dir` defaults to that of tfds: $TFDS_DATA_DIR or ~/tensorflow_datasets. Pixel levels are the builder's
    metadata `levels`, 256 without. Raises ValueError if there is no such data set, split or image, or if it can be
    neither read nor prepared; later, when an image is read whose size or levels are others.
    """
    with quiet():
        builder = prepare(name, data_dir)
        folder = builder.data_path
        try:
            size = builder.info.splits[split].num_examples
        except Exception as error:
            if not builder.info.splits:
                raise damaged(folder, error) from error
            raise ValueError(
                f"expected a split of {name} among {sorted(builder.info.splits)}, or a slice as in 'train[:90%]', "
                f"got {split!r}"
            ) from error
        if not size:
            raise ValueError(f"expected examples in {split!r} of {name}, got an empty slice: widen it")
        try:
            records = builder.as_data_source(split)
        except NotImplementedError as error:  # of tfds, for records that only TensorFlow reads
            raise ValueError(
                f"expected array_record files in {folder}, got another format that needs TensorFlow: "
                "prepare the set in another data_dir"
            ) from error
        except Exception as error:
            raise damaged(folder, error) from error

        def fetch(rows: np.ndarray) -> list[dict]:
            try:
                return records.__getitems__(rows.tolist())
            except Exception as error:
                raise damaged(folder, error) from error

        facts = declared(builder)
        first = fetch(np.zeros(1, int))[0]["image"]

    labelled, captioned, levels = facts.num_classes is not None, facts.captions, facts.levels

    def fitted(x: np.ndarray) -> np.ndarray:
        if center_crop is not None:
            top, left = central(x.shape[0], x.shape[1], center_crop)
            x = x[top : top + center_crop, left : left + center_crop]
        if image_size is not None and x.shape[:2] != (image_size, image_size):
            x = np.minimum(resize_array(x, image_size), levels - 1)
        return x

    shape = fitted(first).shape

    def pixels(example: dict) -> np.ndarray:
        if levels < 256 and example["image"].max() >= levels:
            raise ValueError(
                f"expected levels 0 .. {levels - 1} in {name}, got {example['image'].max()}: correct the builder's "
                "metadata `levels`, or its images"
            )
        x = fitted(example["image"])
        if x.shape != shape:
            raise ValueError(
                f"expected images of one size {shape} in {name}, got {x.shape}: set image_size to crop and resize"
            )
        return x

    def read(rows: np.ndarray) -> Batch:
        examples = fetch(rows)
        batch = {"x": np.empty((len(rows), *shape), np.uint8)}
        for i, example in enumerate(examples):
            batch["x"][i] = pixels(example)
        if labelled:
            batch["label"] = np.array([example["label"] for example in examples], np.int32)
        if captioned:
            batch["caption"] = np.array([example["caption"].decode() for example in examples], np.str_)
        return batch

    return source(read, facts._replace(shape=shape, size=len(records)))


def describe_prepared(
    name: str, data_dir: str | Path | None = None, image_size: int | None = None, center_crop: int | None = None
) -> Spec | None:
    """The spec of the tfds data set `name` as its builder declares it, with size 0, nothing being fetched; None if its
    files are in place and say more. Raises ValueError if there is no such set, or its images have no one size."""
    with quiet():
        builder, _ = find(name, data_dir)
        if builder.data_path.exists():
            return None
        facts = declared(builder)
    side = image_size or center_crop
    shape = facts.shape if side is None else (side, side, facts.shape[-1])
    if None in shape:
        raise ValueError(f"expected images of one size in {name}, got {shape}: set image_size to crop and resize")
    return facts._replace(shape=shape)


def declared(builder) -> Spec:
    """What the builder of a data set says of it: its images' shape, with None for what varies, and size 0."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    image = features["image"] if "image" in features else None
    if image is None or len(image.shape) != 3 or image.np_dtype != np.uint8:
        raise ValueError(f"expected a data set of uint8 images [H, W, C], got {builder.name}: choose another")
    labelled = "label" in features and isinstance(features["label"], tfds.features.ClassLabel)
    captioned = "caption" in features and isinstance(features["caption"], tfds.features.Text)
    names = tuple(features["label"].names) if labelled else ()
    levels = (builder.info.metadata or {}).get("levels", 256)
    return Spec(tuple(image.shape), levels, len(names) or None, names, 0, captioned)


def find(name: str, data_dir: str | Path | None):
    """The tfds builder of `name`, and the folder that holds, or will hold, its files. Nothing is fetched."""
    import tensorflow_datasets as tfds

    base = name.partition("/")[0].partition(":")[0]
    if base in EMBEDDED:
        importlib.import_module(f"jaxgen.data.builders.{base}")
    home = tfds.core.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    try:
        return build(name, home), home
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(
            f"expected a folder of images, {' or '.join(EMBEDDED)}, or a tfds data set known or prepared in {home}, "
            f"got {name!r}: correct the name or data_dir"
        ) from error
    except Exception as error:
        if (home / base).exists():
            raise damaged(home / base, error) from error
        raise ValueError(
            f"expected a tfds name such as 'mnist' or 'downsampled_imagenet/32x32', got {name!r}"
        ) from error


def build(name: str, home: os.PathLike):
    """The builder of `name` that keeps its files in `home`."""
    import tensorflow_datasets as tfds

    return tfds.builder(name, data_dir=home, file_format="array_record")


def prepare(name: str, data_dir: str | Path | None):
    """The tfds builder of `name`, its files in place below `data_dir`.

    The files are written in a temporary directory and moved into place in one rename, so that nothing half-written
    is ever read and of two processes that prepare at once the later one reads what the earlier has moved.
    """
    import tensorflow_datasets as tfds

    builder, home = find(name, data_dir)
    if builder.data_path.exists():
        return builder

    base = name.partition("/")[0].partition(":")[0]
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=home) as scratch:
            fresh = build(name, Path(scratch))
            config = tfds.download.DownloadConfig(try_download_gcs=False)
            with progress(shown=base not in EMBEDDED):
                fresh.download_and_prepare(download_dir=home / "downloads", download_config=config)
            move(fresh.data_path, builder.data_path)
    except Exception as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise ValueError(
            f"expected {name} in {builder.data_dir}, found nothing, and it could not be prepared here "
            f"({reason}): connect to the network, install tensorflow if its builder needs it, "
            "or copy a directory that was prepared elsewhere with file_format='array_record'"
        ) from error
    return build(name, home)


def damaged(folder: os.PathLike, error: Exception) -> ValueError:
    """What to do about prepared files that cannot be read."""
    reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
    return ValueError(f"the data in {folder} is damaged: remove {folder} to prepare it again ({reason})")


def move(source: Path, target: Path) -> None:
    """Renames a directory into place, unless another process has put one there already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, target)
    except OSError:
        if not target.exists():
            raise


@contextlib.contextmanager
def progress(shown: bool) -> Iterator[None]:
    """What tfds reports of a preparation goes to the standard error, or nowhere; a dead network is soon given up."""
    from tensorflow_datasets.core.download import downloader
    from tensorflow_datasets.core.utils import temporary_assignment

    stream = sys.stderr if shown else io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        with temporary_assignment(downloader, "MAX_RETRIES", 3):
            yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of tfds and its downloader: their errors end up in our own sentences."""
    loggers = [logging.getLogger(name) for name in ("absl", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
