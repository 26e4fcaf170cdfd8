"""If these fail, images of a list of prompts depend on how they were batched, or a killed run is not gone on with."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgen.evaluate.prompts.lists import Prompt
from jaxgen.evaluate.prompts.runs import Manifest, generate, open_run, singly

PROMPTS = tuple(Prompt(f"prompt {i}", "even" if i % 2 == 0 else "odd", "hard" * (i > 2), "") for i in range(5))
MANIFEST = Manifest("noise", PROMPTS, (7, 3), {"steps": 4, "range": [0, 1]})


def drawn(words, n=1):
    return np.random.default_rng(words).integers(0, 256, (n, 4, 6, 3), np.uint8)


def noise(prompts, keys):
    assert len(prompts) == len(keys)
    return np.concatenate([drawn(words) for words in np.asarray(jax.random.key_data(keys))])


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Killed(BaseException):
    pass


def killed_after(calls):
    def fn(prompts, keys):
        nonlocal calls
        if not calls:
            raise Killed
        calls -= 1
        return noise(prompts, keys)

    return fn


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("run"), MANIFEST, noise, batch_size=16)


def test_an_image_depends_on_its_prompt_and_seed_alone(whole, tmp_path):
    """Breaks if the batch size, the order or the rest of the list gets into an image, or two seeds draw the same."""
    assert files(generate(tmp_path / "3", MANIFEST, noise, batch_size=3).folder) == files(whole.folder)
    for row in range(10):
        key = jax.random.fold_in(jax.random.key((7, 3)[row % 2]), crc(f"prompt {row // 2}"))
        np.testing.assert_array_equal(whole[row : row + 1], drawn(np.asarray(jax.random.key_data(key))))
    assert len(np.unique(whole[:], axis=0)) == 10
    other = generate(tmp_path / "part", MANIFEST._replace(prompts=PROMPTS[3:0:-2], seeds=(3,)), noise, batch_size=4)
    np.testing.assert_array_equal(other[:], whole[:][[7, 3]])


def crc(text):
    """CRC-32 bit by bit."""
    word = 0xFFFFFFFF
    for byte in text.encode():
        word ^= byte
        for _ in range(8):
            word = word >> 1 ^ 0xEDB88320 * (word & 1)
    return word ^ 0xFFFFFFFF


def test_a_killed_run_goes_on_and_ends_the_same(whole, tmp_path):
    """Breaks if an image is made twice or lost, a torn file is taken for one, or the manifest comes last."""
    for calls in (0, 2):
        folder, told, made = tmp_path / str(calls), [], []
        with pytest.raises(Killed):
            generate(folder, MANIFEST, killed_after(calls), batch_size=3)
        with pytest.raises(ValueError, match=f"lacks {10 - 3 * calls} of 10 images"):
            open_run(folder)
        torn = folder / "images" / ".000007.png.abcdefgh"
        torn.parent.mkdir(exist_ok=True)
        torn.write_bytes(b"\x89PNG")

        def counted(prompts, keys, made=made):
            made.append(len(prompts))
            return noise(prompts, keys)

        generate(folder, MANIFEST, counted, batch_size=3, done=told.append)
        assert len(made) == -(-(10 - 3 * calls) // 3) and told[-1] == 10
        assert files(folder) == files(whole.folder)


def test_the_manifest_says_of_what_each_image_is(whole):
    """Breaks if another program cannot tell which prompt and seed a file is of, or a run opened again differs."""
    found = json.loads((whole.folder / "manifest.json").read_text())
    assert found["system"] == "noise" and found["about"] == {"steps": 4, "range": [0, 1]} and found["seeds"] == [7, 3]
    assert found["images"][7] == {
        "file": "images/000007.png",
        "seed": 3,
        "text": "prompt 3",
        "category": "odd",
        "challenge": "hard",
        "note": "",
    }
    again = open_run(whole.folder)
    assert again.manifest == MANIFEST and again.prompt(7) == PROMPTS[3] and again.seed(7) == 3
    np.testing.assert_array_equal(again[6:8][1], np.asarray(Image.open(whole.folder / found["images"][7]["file"])))


def test_a_function_of_one_key_is_made_one_of_many(tmp_path):
    """Breaks if a model with one random key for its batch gives other images in another batch."""

    def at_once(prompts, key):
        return drawn(np.asarray(jax.random.key_data(key)), len(prompts))

    runs = [generate(tmp_path / str(size), MANIFEST, singly(at_once), batch_size=size) for size in (2, 5)]
    np.testing.assert_array_equal(runs[0][:], runs[1][:])
    assert len(np.unique(runs[0][:], axis=0)) == 10


@pytest.mark.parametrize(
    "change, says",
    [
        ({"system": "other"}, "another system"),
        ({"prompts": PROMPTS[:4]}, "another prompt"),
        ({"seeds": (7, 4)}, "another seed"),
        ({"about": {"steps": 5}}, "another about"),
    ],
)
def test_another_run_is_not_mixed_in(change, says, whole):
    """Breaks if images of two models or two lists come to lie in one folder."""
    before = files(whole.folder)
    with pytest.raises(ValueError, match=says):
        generate(whole.folder, MANIFEST._replace(**change), noise)
    assert files(whole.folder) == before


def test_what_is_no_run_and_no_image_is_refused(tmp_path):
    """Breaks if floats are cut to black images, or a folder of something else is written into."""
    with pytest.raises(ValueError, match="got float32.*to_uint8"):
        generate(tmp_path / "a", MANIFEST, lambda prompts, keys: np.zeros((len(prompts), 4, 4, 3), np.float32))
    with pytest.raises(ValueError, match=r"got uint8 \(1, 4, 4, 3\)"):
        generate(tmp_path / "a", MANIFEST, lambda prompts, keys: np.zeros((1, 4, 4, 3), np.uint8))
    for change in ({"seeds": (1, 1)}, {"seeds": (-1,)}, {"seeds": ()}, {"prompts": ()}):
        with pytest.raises(ValueError, match="seeds"):
            generate(tmp_path / "b", MANIFEST._replace(**change), noise)
    with pytest.raises(ValueError, match="found none"):
        open_run(tmp_path / "b")
    (tmp_path / "c" / "images").mkdir(parents=True)
    with pytest.raises(ValueError, match="no manifest.json"):
        generate(tmp_path / "c", MANIFEST, noise)
    good = json.loads((generate(tmp_path / "d", MANIFEST, noise).folder / "manifest.json").read_text())
    turned = {**good, "images": good["images"][::-1]}
    short = {**good, "images": good["images"][:-1]}
    seeded = json.dumps(good).replace("[7, 3]", "[Infinity, 3]")
    texts = [
        "{}",
        "[1]",
        '{"format": 1, "seeds": [0]}',
        "no json",
        "[" * 200_000,
        seeded,
        *map(json.dumps, (turned, short)),
    ]
    for text in texts:
        (tmp_path / "c" / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match="not the manifest"):
            open_run(tmp_path / "c")


@pytest.mark.parametrize("about", [{"lr": float("nan")}, {"folder": Path("x")}, {("a", "b"): 1}])
def test_what_is_no_json_is_not_kept_about_a_run(about, tmp_path):
    """Breaks if a manifest is written that cannot be read, or the mistake ends in the traceback of a library."""
    with pytest.raises(ValueError, match="known about a run must be finite JSON"):
        generate(tmp_path / "run", MANIFEST._replace(about=about), noise)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_no_images_is_refused(size, tmp_path):
    """Breaks if a run is called finished of which nothing was made."""
    with pytest.raises(ValueError, match="batch size of a run must be at least 1"):
        generate(tmp_path / "run", MANIFEST, noise, batch_size=size)


def test_images_of_a_run_are_of_one_size(tmp_path):
    """Breaks if a run is made for hours that nothing can read then, or goes on at another resolution."""
    sizes = iter((4, 4, 5))

    def growing(prompts, keys):
        return np.zeros((len(prompts), next(sizes), 4, 3), np.uint8)

    with pytest.raises(ValueError, match=r"of one size, got \(5, 4\) after \(4, 4\)"):
        generate(tmp_path / "run", MANIFEST, growing, batch_size=3)
    with pytest.raises(ValueError, match=r"of one size, got \(4, 6\) after \(4, 4\)"):
        generate(tmp_path / "run", MANIFEST, noise, batch_size=3)
