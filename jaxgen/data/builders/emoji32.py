"""3781 Noto emoji with categories and captions, shipped beside this file, as a tfds builder."""

import io
import re
import zlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

FILE = Path(__file__).with_name("emoji32.npz")


def is_test(image: np.ndarray, caption: np.ndarray) -> np.ndarray:
    """crc32(subject) mod 10 = 0, the subject being the caption up to its first comma or colon. -> [N] bool.

    Variants of one subject ("waving hand, dark skin tone", "waving hand, light skin tone") are nearly the same
    picture, so all of them fall on one side; a picture that is drawn for two subjects stays in train.
    """
    test = np.array([zlib.crc32(re.split("[,:]", text)[0].encode()) % 10 == 0 for text in caption.tolist()])
    train = {picture.tobytes() for picture in image[~test]}
    return test & np.array([picture.tobytes() not in train for picture in image])


class Emoji32(tfds.core.GeneratorBasedBuilder):
    """32x32 RGB emoji on white; label: 9 categories; caption and subcategory: text.

    `test` is the tenth of the subjects that `is_test` picks, `train` the rest; both keep the order of the file.
    Source: Noto Emoji by Google, Apache-2.0 (see NOTICE).
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # nothing is downloaded, so there are no checksums to look for

    def _info(self) -> tfds.core.DatasetInfo:
        with np.load(FILE) as data:
            category = data["category"].tolist()
        return tfds.core.DatasetInfo(
            builder=self,
            description="Noto emoji, 32x32 RGB on white, with category, sub-category and caption.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=category),
                    "caption": tfds.features.Text(),
                    "subcategory": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/googlefonts/noto-emoji",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(False), "test": self._generate_examples(True)}

    def _generate_examples(self, test: bool):
        with np.load(FILE) as data:
            columns = {name: data[name] for name in ("image", "label", "caption", "subcategory")}
        for i in np.flatnonzero(is_test(columns["image"], columns["caption"]) == test).tolist():
            yield (
                i,
                {
                    "image": png(columns["image"][i]),
                    "label": int(columns["label"][i]),
                    "caption": str(columns["caption"][i]),
                    "subcategory": str(columns["subcategory"][i]),
                },
            )


def png(image: np.ndarray) -> io.BytesIO:
    """[H, W, 3] uint8 as a PNG file in memory, the one form of an image that tfds stores without TensorFlow."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    file.seek(0)
    return file
