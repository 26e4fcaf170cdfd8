"""The 1797 handwritten digits that scikit-learn's wheel carries, as a tfds builder."""

import numpy as np
import tensorflow_datasets as tfds

TRAIN = 1437


class Digits(tfds.core.GeneratorBasedBuilder):
    """8x8 digits of 17 grey levels, 0..16, stored as integers; 10 classes.

    The splits keep the order of the file: `train` is the first 1437 digits, `test` the last 360. The test digits
    come from other writers, so they measure real generalisation. Validation is the end of train, by slicing:
    fit on `train[:1257]`, choose on `train[1257:]`, and report on `test`.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # nothing is downloaded, so there are no checksums to look for

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The 8x8 handwritten digits of scikit-learn, 17 grey levels.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            metadata=tfds.core.MetadataDict(levels=17),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, TRAIN), "test": self._generate_examples(TRAIN, None)}

    def _generate_examples(self, start: int, stop: int | None):
        from sklearn.datasets import load_digits

        data = load_digits()
        images = data.images[start:stop, ..., None].astype(np.uint8)
        for i, (image, label) in enumerate(zip(images, data.target[start:stop], strict=True)):
            yield i, {"image": image, "label": int(label)}
