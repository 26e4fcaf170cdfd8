"""If these fail, images of a folder, a file or a data set are measured as others, or bad ones end in a traceback."""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import load
from jaxgen.evaluate.distribution.blocks import shape
from jaxgen.evaluate.stream import sides
from jaxgen.evaluate.stream.sides import open_side, stored

X = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Nine images of two classes."""
    for i, image in enumerate(X):
        path = tmp_path / "animals" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "animals"


def test_a_folder_gives_pixels_classes_and_names_in_one_order(folder):
    """Breaks if a picture in the report stands under the name or the class of another one."""
    side = open_side(str(folder))
    order = [0, 2, 4, 6, 8, 1, 3, 5, 7]
    np.testing.assert_array_equal(side.rows[2:7], X[order][2:7])
    assert list(side.files) == [f"{('cat', 'dog')[i % 2]}/{i}.png" for i in order]
    assert side.labels.tolist() == [i % 2 for i in order] and side.classes == ("cat", "dog")
    assert (len(side), side.name, side.levels) == (9, "animals", 256)
    assert open_side(str(folder), image_size=4).rows[:].shape == (9, 4, 4, 3)


def test_images_that_do_not_fit_in_memory_are_read_in_order(folder, monkeypatch):
    """Breaks if several threads that decode a folder mix its images up."""
    monkeypatch.setattr("jaxgen.data.records.IN_MEMORY", 0)
    side = open_side(str(folder))
    np.testing.assert_array_equal(side.rows[:], X[[0, 2, 4, 6, 8, 1, 3, 5, 7]])
    np.testing.assert_array_equal(side.rows[8:9], X[7:8])


def test_a_changed_folder_is_another_one(folder):
    """Breaks if features of images that have been replaced are taken for those of the new ones."""
    before = open_side(str(folder)).key
    assert open_side(str(folder)).key == before and open_side(str(folder), image_size=4).key != before
    Image.fromarray(X[0]).save(folder / "cat" / "2.png", compress_level=0)
    assert open_side(str(folder)).key != before


def test_a_data_set_that_was_prepared_anew_is_another_one(tmp_path, monkeypatch):
    """Breaks if features of images that a builder has replaced are taken for those of the new ones, though the first
    ones are as they were."""
    load(name="digits", data_dir=tmp_path)
    first = stored("digits", tmp_path)
    assert any(path.suffix == ".json" for path in first) and stored("digits", tmp_path) == first
    monkeypatch.setattr(sides, "stored", lambda name: first)
    before = open_side("digits:test").key
    assert open_side("digits:test").key == before
    os.utime(first[0], (0, 0))
    assert open_side("digits:test").key != before


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_guided_diffusion_are_read_in_slices(tmp_path, save):
    """Breaks if rows of a large file are read from another place, forwards or backwards, stored or compressed."""
    save(tmp_path / "samples.npz", X, np.arange(9))
    side = open_side(str(tmp_path / "samples.npz"))
    for part in (slice(2, 5), slice(5, 9), slice(0, 3), slice(8, 20)):
        np.testing.assert_array_equal(side.rows[part], X[part])
    assert side.labels.tolist() == list(range(9)) and shape(side.rows) == X.shape and side.statistics is None
    np.savez(tmp_path / "reference.npz", mu=np.zeros(3), sigma=np.eye(3))
    side = open_side(str(tmp_path / "reference.npz"))
    assert len(side) == 0 and side.statistics == tmp_path / "reference.npz"


def test_images_on_few_levels_are_shown_in_full_range(tmp_path):
    """Breaks if digits of 17 levels are measured as nearly black images, or their exact level is lost."""
    levels = np.arange(17, dtype=np.uint8).reshape(1, 17, 1, 1)
    np.savez(tmp_path / "x.npz", images=levels, levels=[17])
    side = open_side(str(tmp_path / "x.npz"))
    assert side.levels == 17
    np.testing.assert_array_equal(side.rows[:], np.rint(levels * (255 / 16)))
    digits = open_side("digits:test[:20]")
    assert digits.levels == 17 and len(digits) == 20 == len(digits.labels) and digits.rows[:].max() == 255
    assert digits.name == "digits:test[:20]" and open_side("digits").name == "digits:train"


def test_a_damaged_image_is_named_and_left_out_only_when_asked(folder):
    """Breaks if one bad file among thousands is not found, or is silently not measured."""
    path = folder / "dog" / "5.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"whole image in .*dog/5\.png"):
        open_side(str(folder)).rows[:]
    first = folder / "cat" / "0.png"
    first.write_bytes(b"no image")
    with pytest.warns(UserWarning) as told:
        side = open_side(str(folder), skip_bad=True)
    assert sorted(str(one.message).split("animals/")[1][:9] for one in told) == ["cat/0.png", "dog/5.png"]
    order = [2, 4, 6, 8, 1, 3, 7]
    np.testing.assert_array_equal(side.rows[:], X[order])
    assert side.labels.tolist() == [0, 0, 0, 0, 1, 1, 1] and side.files[0] == "cat/2.png" and len(side) == 7
    assert side.left_out == 2


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"arr_0": X.astype(np.float32) / 255}, r"uint8 .* in 0 \.\.\. 255, got float32"),
        ({"arr_0": X[..., :2]}, "uint8"),
        ({"arr_0": X[:0]}, "there are no images"),
        ({"arr_0": X, "arr_1": np.arange(3)}, "9 whole numbers as arr_1"),
        ({"arr_0": np.asfortranarray(X)}, "C order"),
        ({"x": X}, "arr_0 or images, or statistics mu and sigma, .* got x"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, said):
    """Images in [0, 1] would be taken for black ones."""
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=said):
        open_side(str(tmp_path / "x.npz"))


def test_a_file_that_ends_early_and_an_empty_folder_are_one_sentence(tmp_path, folder):
    """Breaks if a broken download, a folder of nothing or images of two sizes end in a traceback."""
    (tmp_path / "x.npz").write_text("no file of arrays")
    with pytest.raises(ValueError, match=r"expected an \.npz file"):
        open_side(str(tmp_path / "x.npz"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none"):
        open_side(str(tmp_path / "empty"))
    Image.fromarray(X[0, :3]).save(folder / "cat" / "10.png")
    with pytest.raises(ValueError, match=r"got 5x3 pixels in .*10\.png after 5x6: set --image_size\."):
        open_side(str(folder))
    with pytest.raises(ValueError, match="did you mean|expected a folder of images"):
        open_side("nothing_of_this_name")


def damaged(path, kind):
    """The file `path` of compressed images, broken in one way."""
    np.savez_compressed(path, X)
    data = bytearray(path.read_bytes())
    start = 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
    central = data.rindex(b"PK\x01\x02")
    match kind:
        case "start":
            data[start : start + 4] = b"\xff" * 4
        case "local header":
            data[:4] = b"none"
        case "encrypted":
            data[6] |= 1
            data[central + 8] |= 1
        case "method":
            data[8] = data[central + 10] = 99
        case "version":
            data[central + 6] = 200
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["start", "local header", "encrypted", "method", "version"])
def test_broken_files_are_one_sentence(tmp_path, kind):
    """Breaks if a download that ended badly, or a file that another program locked, ends in a traceback."""
    damaged(tmp_path / "x.npz", kind)
    with pytest.raises(ValueError, match=r"x\.npz"):
        open_side(str(tmp_path / "x.npz"))


def test_a_header_that_lies_is_one_sentence(tmp_path):
    """Breaks if a negative size becomes an offset into the file."""
    np.savez(tmp_path / "x.npz", X)
    header = np.lib.format.header_data_from_array_1_0(X) | {"shape": (-5, 6, 5, 3)}
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file, file.open("arr_0.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(X.tobytes())
    with pytest.raises(ValueError, match="rows of numbers in C order"):
        open_side(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("levels", [[], [np.nan], [1], [257], [17, 17], ["x"]])
def test_other_levels_are_refused(tmp_path, levels):
    """Breaks if pixels are scaled by what is no number of levels."""
    np.savez(tmp_path / "x.npz", images=X % 16, levels=levels)
    with pytest.raises(ValueError, match="one whole number from 2 to 256 as levels"):
        open_side(str(tmp_path / "x.npz"))


def test_pixels_above_their_levels_are_refused(tmp_path):
    """Breaks if images in 0 ... 255 that are said to have 17 levels are clipped to white."""
    np.savez(tmp_path / "x.npz", images=X, levels=[17])
    with pytest.raises(ValueError, match="below its 17 levels"):
        open_side(str(tmp_path / "x.npz")).rows[:]


def test_names_that_are_no_text_can_be_shown(folder):
    """Breaks if a file name that is no UTF-8 ends in a traceback: in the share that a split takes, or on the page."""
    (folder / "cat" / "0.png").rename(os.fsdecode(os.fsencode(folder / "cat") + b"/\xff0.png"))
    side = open_side(f"{folder}:train[:100%]")
    assert "cat/\\xff0.png" in side.files and len(side) == 9 and "\n".join(side.files).encode()
