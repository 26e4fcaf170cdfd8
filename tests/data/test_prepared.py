"""Embedded and official tfds data sets: exact content, no TensorFlow, safe preparation, clear refusals."""

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

from jaxgen.data import as_arrays, load
from jaxgen.data.builders.emoji32 import FILE, is_test, png


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def test_digits_are_the_integers_of_the_wheel_in_the_stated_split(data_dir):
    """A pixel off, a shuffle or a shifted split would make every digits figure incomparable."""
    digits = load_digits()
    slices = {
        "train": slice(0, 1437),
        "train[:1257]": slice(0, 1257),
        "train[1257:]": slice(1257, 1437),
        "test": slice(1437, None),
    }
    for split, rows in slices.items():
        source = load("digits", split, data_dir)
        arrays = as_arrays(source)
        np.testing.assert_array_equal(arrays["x"][..., 0], digits.images[rows])
        np.testing.assert_array_equal(arrays["label"], digits.target[rows])
        assert source.spec == ((8, 8, 1), 17, 10, tuple("0123456789"), len(digits.target[rows]), False)


def test_emoji_are_the_shipped_file_split_by_subject(data_dir):
    """PNG storage must be lossless, captions must stay with their picture, and no test picture may be in train."""
    with np.load(FILE) as file:
        image, label, caption, category = (file[name] for name in ("image", "label", "caption", "category"))
    test = is_test(image, caption)
    assert 250 < test.sum() < 450 and set(label[test]) == set(label)
    assert not {x.tobytes() for x in image[test]} & {x.tobytes() for x in image[~test]}
    for split, rows in {"train": ~test, "test": test}.items():
        source = load("emoji32", split, data_dir)
        arrays = as_arrays(source)
        np.testing.assert_array_equal(arrays["x"], image[rows])
        np.testing.assert_array_equal(arrays["label"], label[rows])
        np.testing.assert_array_equal(arrays["caption"], caption[rows])
        assert source.spec.class_names == tuple(category) and source.spec.captions


def test_image_size_resizes_prepared_images(data_dir):
    """A constant picture stays constant under resampling; a wrong axis order or a stale shape would show."""
    source = load("emoji32", "test", data_dir, image_size=16)
    small, large = as_arrays(source)["x"], as_arrays(load("emoji32", "test", data_dir))["x"]
    assert source.spec.shape == small.shape[1:] == (16, 16, 3)
    blocks = large.reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(blocks - small).mean() < 6
    assert as_arrays(load("digits", "test", data_dir, image_size=20))["x"].max() == 16, "Lanczos overshoots"


def test_the_central_crop_of_prepared_images(data_dir):
    """A crop off the middle, or one after the resize, would train on other pixels than the published runs."""
    whole = as_arrays(load("emoji32", "test", data_dir))["x"]
    source = load("emoji32", "test", data_dir, center_crop=20)
    assert source.spec.shape == (20, 20, 3)
    np.testing.assert_array_equal(as_arrays(source)["x"], whole[:, 6:26, 6:26])
    assert load("emoji32", "test", data_dir, image_size=8, center_crop=20).spec.shape == (8, 8, 3)
    with pytest.raises(ValueError, match="at least 33x33 pixels to crop, got 32x32"):
        load("emoji32", "test", data_dir, center_crop=33)


PREPARE = """
import random, sys
random.seed(0)
from jaxgen.data import as_arrays, load
while not sys.stdin.readline():
    pass
source = load("digits", "test", sys.argv[1])
assert as_arrays(source)["x"].sum() == {total}, "wrong data"
assert "tensorflow" not in sys.modules, "TensorFlow was imported"
"""


def test_two_processes_prepare_at_once_without_tensorflow_or_noise(tmp_path):
    """Every host of a job prepares on first use, from the same seed: all must end with whole data, no litter."""
    script = PREPARE.format(total=int(load_digits().data[1437:].sum()))
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out, err) == (0, "", "")
    assert not list((tmp_path / "data").rglob("*incomplete*"))


def test_the_later_of_two_preparations_reads_the_earlier(tmp_path, monkeypatch):
    """The rename of the later process finds the place taken: it must neither fail nor overwrite."""
    prepare = tfds.core.DatasetBuilder.download_and_prepare

    def overtaken(self, **options):
        with monkeypatch.context() as other:
            other.setattr(tfds.core.DatasetBuilder, "download_and_prepare", prepare)
            load("digits", "test", tmp_path)
        prepare(self, **options)

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", overtaken)
    assert as_arrays(load("digits", "test", tmp_path))["x"].sum() == load_digits().data[1437:].sum()
    assert not list(tmp_path.rglob("*incomplete*"))


def test_importing_the_package_loads_neither_tfds_nor_grain():
    """They take a second to import; a command that needs no data must not pay for them."""
    code = "import sys, jaxgen.data.pipeline; print({'grain', 'tensorflow_datasets', 'sklearn'} & {*sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


class Squares(tfds.core.GeneratorBasedBuilder):
    """Grey squares of two sizes, as an official set with images of many sizes would hold."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"image": image}))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, side in enumerate((6, 9)):
            yield i, {"image": png(np.full((side, side, 3), 10 * side, np.uint8))}


class Dim(Squares):
    """The same, said to have 61 levels, of which the larger square has more."""

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=super()._info().features, metadata=tfds.core.MetadataDict(levels=61)
        )


def test_levels_beyond_those_the_builder_names_are_refused(tmp_path):
    """Breaks if a level that a model has no probability for becomes NaN, or is cut down unseen by a resize."""
    Dim(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    for size in (4, 9):
        with pytest.raises(ValueError, match=r"levels 0 \.\. 60 in dim, got 90: correct the builder's metadata"):
            as_arrays(load("dim", "train", tmp_path, image_size=size))


def test_prepared_set_without_its_code_and_with_many_sizes(tmp_path):
    """A directory that was prepared elsewhere must be readable where its builder is unknown."""
    builder = Squares(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    shutil.move(tmp_path / "squares", tmp_path / "copied")
    info = tmp_path / "copied/1.0.0/dataset_info.json"
    info.write_text(info.read_text().replace('"squares"', '"copied"'))
    for file in info.parent.glob("squares-*"):
        file.rename(file.with_name(file.name.replace("squares", "copied")))
    source = load("copied", "train", tmp_path, image_size=4)
    assert source.spec == ((4, 4, 3), 256, None, (), 2, False)
    assert sorted(as_arrays(source)["x"].mean((1, 2, 3))) == [60, 90]
    with pytest.raises(ValueError, match="images of one size .* set image_size"):
        as_arrays(load("copied", "train", tmp_path))


@pytest.mark.parametrize(
    ("name", "split", "sentence"),
    [
        ("no_such_set", "train", "tfds data set known or prepared in .*got 'no_such_set'"),
        ("two words", "train", "expected a tfds name"),
        ("digits", "valid", r"split of digits among \['test', 'train'\].*got 'valid'"),
        ("digits", "train[5", r"slice as in 'train\[:90%\]', got 'train\[5'"),
        ("digits", "train[5:5]", "got an empty slice"),
        ("/no/such/folder", "train", "expected a folder of images at /no/such/folder, found none"),
        ("./nothing", "train", "expected a folder of images at nothing, found none"),
    ],
)
def test_refusals_are_one_sentence(data_dir, name, split, sentence):
    """A wrong name in a config must end in a sentence that says what is possible."""
    with pytest.raises(ValueError, match=sentence) as caught:
        load(name, split, data_dir)
    assert "\n" not in str(caught.value)


def test_official_set_that_is_neither_here_nor_reachable(tmp_path, monkeypatch):
    """Without a network the answer must come at once and say what to do; a half-made directory must not stay."""

    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", unreachable)
    start = time.monotonic()
    with pytest.raises(ValueError, match="mnist .*no route to host.*connect to the network, install tensorflow .*copy"):
        load("mnist", "train", tmp_path)
    assert time.monotonic() - start < 20
    assert not list(tmp_path.iterdir())


def test_unwritable_data_dir_is_a_sentence(tmp_path):
    """data_dir may be a file by mistake."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="could not be prepared here"):
        load("digits", "train", tmp_path / "file")


def test_png_is_lossless():
    """The stored form of an image must return every bit."""
    x = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(png(x))), x)
