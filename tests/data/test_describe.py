"""The facts of a data set are known without its data, as far as a model needs them."""

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import describe, load


def test_a_tfds_name_is_described_without_its_data(tmp_path):
    """Breaks if a model of CIFAR-10 or LSUN can only be used where the data are, or asking downloads them."""
    spec = describe("cifar10", data_dir=tmp_path)
    assert spec[:3] == ((32, 32, 3), 256, 10) and spec.size == 0
    assert describe("celeb_a", data_dir=tmp_path, image_size=64, center_crop=140).shape == (64, 64, 3)
    assert describe("celeb_a", data_dir=tmp_path, center_crop=140).shape == (140, 140, 3)
    assert describe("mnist", data_dir=tmp_path, image_size=32).shape == (32, 32, 1)
    with pytest.raises(ValueError, match="set image_size"):
        describe("lsun/bedroom", data_dir=tmp_path)
    assert not [*tmp_path.iterdir()]


def test_data_that_are_here_are_described_by_themselves(tmp_path):
    """Breaks if a model is built for other images than those of the folder, or for none where they are not there."""
    folder = tmp_path / "pictures"
    for i, label in enumerate(("cat", "dog", "dog")):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / label / f"{i}.png")
    assert describe(folder) == load(folder).spec and describe(folder).shape == (8, 8, 1)
    assert describe("digits") == load("digits").spec
    for absent in (tmp_path / "nothing", "data/nothing", "./nothing"):
        assert describe(absent, data_dir=tmp_path, image_size=16)[:3] == ((16, 16, 3), 256, None)
        with pytest.raises(ValueError, match="correct the (path|name)"):
            describe(absent, data_dir=tmp_path)
    with pytest.raises(ValueError, match="got 'cifra10'"):
        describe("cifra10", data_dir=tmp_path, image_size=32)
