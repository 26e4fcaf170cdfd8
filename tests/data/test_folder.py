"""A user's folder of images: labels, captions, order, and a sentence for everything that is wrong with it."""

import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import as_arrays, load
from jaxgen.data.pipeline import pipeline


def save(path, x, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(x).save(path, **options)


def picture(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape or (6, 6, 3), np.uint8)


@pytest.fixture
def cats_and_dogs(tmp_path):
    for i, name in enumerate(("dog/b.png", "cat/z.webp", "cat/deep/a.png", "dog/a.png")):
        options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
        save(tmp_path / name, picture(i), **options)
        (tmp_path / name).with_suffix(".txt").write_text(f" picture {i}\n")
    (tmp_path / "README.md").write_text("not an image")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    return tmp_path


def test_labels_captions_and_order_follow_the_paths(cats_and_dogs):
    """The order of a listing differs between file systems; labels and captions must not follow it."""
    source = load(cats_and_dogs)
    assert source.spec == ((6, 6, 3), 256, 2, ("cat", "dog"), 4, True)
    arrays = as_arrays(source)
    order = [2, 1, 3, 0]
    np.testing.assert_array_equal(arrays["x"], [picture(i) for i in order])
    np.testing.assert_array_equal(arrays["label"], [0, 0, 1, 1])
    assert arrays["caption"].tolist() == [f"picture {i}" for i in order]
    assert source.records[1]["caption"] == "picture 1"


def test_lazy_records_equal_those_in_memory(cats_and_dogs):
    """A set too large for memory takes another path through the code; it must give the same examples."""
    records = load(cats_and_dogs).records
    eager = {index: records[index] for index in (2, -1)} | {"rows": records[np.array([3, 0])], "slice": records[1:3]}
    records.in_memory = False
    lazy = {index: records[index] for index in (2, -1)} | {"rows": records[np.array([3, 0])], "slice": records[1:3]}
    for index in eager:
        for name in eager[index]:
            np.testing.assert_array_equal(eager[index][name], lazy[index][name])
    with pytest.raises(IndexError):
        records[4]


def test_slices_share_out_every_class(tmp_path):
    """In path order `train[90%:]` would be the last class alone."""
    for name in "ab":
        for i in range(50):
            save(tmp_path / name / f"{i}.png", picture(i, 2, 2))
    train, rest = load(tmp_path, "train[:60%]"), load(tmp_path, "train[60%:]")
    assert (train.spec.size, rest.spec.size) == (60, 40)
    assert 20 < as_arrays(train)["label"].sum() < 40
    both = np.concatenate([as_arrays(train)["x"], as_arrays(rest)["x"]])
    assert sorted(x.tobytes() for x in both) == sorted(x.tobytes() for x in as_arrays(load(tmp_path))["x"])


def test_split_folders_share_their_class_numbers(tmp_path):
    """A class that the test part lacks must not shift the numbers of the others."""
    for name in ("train/ant", "train/bee", "train/cow", "test/cow"):
        save(tmp_path / name / "1.png", picture(0))
    test = load(tmp_path, "test")
    assert test.spec.class_names == ("ant", "bee", "cow") and as_arrays(test)["label"].tolist() == [2]
    with pytest.raises(ValueError, match=r"a split among \['test', 'train'\].*got 'validation'"):
        load(tmp_path, "validation")


def test_modes_become_grey_or_colour_on_white(tmp_path):
    """A hidden palette, alpha or mode would give black or wrong-coloured training images."""
    save(tmp_path / "a.png", picture(0))
    Image.new("RGBA", (6, 6), (255, 0, 0, 0)).save(tmp_path / "b.png")
    Image.new("L", (6, 6), 77).save(tmp_path / "c.png")
    Image.new("RGB", (6, 6), (9, 99, 200)).quantize(4).save(tmp_path / "d.png")
    x = as_arrays(load(tmp_path))["x"]
    assert [x[i].reshape(-1, 3).max(0).tolist() for i in (1, 2, 3)] == [[255] * 3, [77] * 3, [9, 99, 200]]
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").unlink()
    assert load(tmp_path).spec.shape == (6, 6, 1)
    with pytest.raises(ValueError, match="grey image like the first of the folder in .*d.png"):
        as_arrays(load(tmp_path))


def test_rotated_photographs_stand_upright(tmp_path):
    """Cameras store the rotation in the header."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", picture(0, 4, 6, 3), exif=exif)
    np.testing.assert_array_equal(as_arrays(load(tmp_path))["x"][0], np.rot90(picture(0, 4, 6, 3), -1))


def test_sizes_are_brought_to_one_or_refused(tmp_path):
    """Batches need one shape; the centre must be kept."""
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 200
    save(tmp_path / "a.png", picture(0, 8, 8, 3))
    save(tmp_path / "b.png", wide)
    with pytest.raises(ValueError, match="expected 8x8 pixels in .*b.png .*got 24x8: set image_size"):
        as_arrays(load(tmp_path))
    x = as_arrays(load(tmp_path, image_size=4))["x"]
    assert x.shape == (2, 4, 4, 3) and np.abs(x[1] - 200.0).max() < 15


def test_the_central_crop_comes_before_the_resize(tmp_path):
    """CelebA is published as its central 140 pixels, resampled to 64: the border must not be squeezed in."""
    framed = np.full((10, 9, 3), 255, np.uint8)
    framed[3:7, 2:6] = 40
    save(tmp_path / "a.png", framed)
    np.testing.assert_array_equal(as_arrays(load(tmp_path, center_crop=4))["x"][0], framed[3:7, 2:6])
    np.testing.assert_array_equal(as_arrays(load(tmp_path, image_size=2, center_crop=4))["x"][0], 40)
    with pytest.raises(ValueError, match="at least 10x10 pixels to crop, got 10x9 in .*a.png: set center_crop lower"):
        load(tmp_path, center_crop=10)


def bomb(path, side):
    """A valid PNG header that promises side x side pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(64))),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bombs_are_refused_by_their_header(tmp_path, side):
    """A few bytes must not be able to take gigabytes."""
    bomb(tmp_path / "bomb.png", side)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with pytest.raises(ValueError, match="expected at most .* pixels in .*bomb.png"):
            load(tmp_path)
    argv = ["evaluate", f"--fake={tmp_path}", "--metrics=vendi@lite0", f"--out={tmp_path}/out"]
    code = f"import sys; from jaxgen.cli import main; sys.exit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "Warning" not in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("z.png", b"hello", "expected a PNG, JPEG or WebP image in .*z.png"),
        ("z.jpg", b"", "expected a PNG, JPEG or WebP image in .*z.jpg"),
        ("z.png", "truncated", "expected a whole image in .*z.png"),
        ("z.gif", b"GIF89a", "expected PNG, JPEG or WebP images, got .*z.gif"),
        ("z.png", "deep", "expected 8 bits per channel in .*z.png, got mode I;16"),
        ("z.png", "gif", "expected a PNG, JPEG or WebP image in .*z.png"),
        ("a.txt", b"\xff\xfe", "expected UTF-8 text in .*a.txt"),
        ("sub/z.png", "whole", "expected every image in a sub-folder that names its class, got .*a.png"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, sentence):
    """One bad file among thousands can only be found if the sentence names it."""
    save(tmp_path / "a.png", picture(0, 64, 64, 3))
    whole = (tmp_path / "a.png").read_bytes()
    made = {"truncated": whole[: len(whole) // 2], "whole": whole}
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if content == "deep":
        save(path, np.zeros((64, 64), np.uint16))
    elif content == "gif":
        Image.new("P", (64, 64)).save(path, "gif")
    else:
        path.write_bytes(made.get(content, content))
    with pytest.raises(ValueError, match=sentence) as caught:
        as_arrays(load(tmp_path))
    assert "\n" not in str(caught.value)


def test_bad_file_stays_a_clear_error_inside_the_pipeline(tmp_path):
    """The sentence must survive grain and its threads."""
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "b.png").write_bytes(b"no image")
    for threads in (0, 2):
        with pytest.raises(ValueError, match="^expected a PNG, JPEG or WebP image in .*b.png"):
            next(pipeline(load(tmp_path), 2, seed=0, threads=threads))


def test_missing_captions_and_empty_folders_are_refused(tmp_path):
    """A caption that is silently missing would train an empty text."""
    with pytest.raises(ValueError, match="expected PNG, JPEG or WebP images for 'train' .* found none"):
        load(tmp_path)
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "b.png", picture(0))
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match="got none for .*b.png: write b.txt"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"a split such as 'train' or 'train\[:90%\]', got 'train\[x'"):
        load(tmp_path, "train[x")
