"""If these fail, text to image cannot be judged without writing a program, or images are judged by others' prompts."""

import json

import numpy as np
import pytest
import tiny_clip
from command import refused
from PIL import Image

from jaxgen import cli
from jaxgen.evaluate.extractors.clip import open_clip, scorer
from jaxgen.evaluate.prompts.runs import open_run

pytest.importorskip("tokenizers")
TEXTS = ["a red cube", "two cats", "the sea", "a house"]


def paint(folder, seed, name):
    """Eight images of random colours in blocks, a name each."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(8):
        path = folder / name(i)
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (4, 5, 3), np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A list of prompts, two folders of images of it, a CLIP."""
    root = tmp_path_factory.mktemp("place")
    rows = [f"{text}\t{'Things' if i % 2 else 'Nature'}\tBasic\t" for i, text in enumerate(TEXTS)]
    (root / "list.tsv").write_text("\n".join(["Prompt\tCategory\tChallenge\tNote", *rows]) + "\n")
    rows = [f"{text}\t{other}" for text in TEXTS for other in (f"{text} on a table", "a picture")]
    (root / "references.tsv").write_text("\n".join(["Prompt\tReference", *rows]) + "\n")
    paint(root / "old", 0, lambda i: f"{i + 5}.png")  # 5.png ... 12.png
    paint(root / "new", 1, lambda i: f"{i // 2:04}/{i % 2}.png")
    tiny_clip.save(root / "model.safetensors", tiny_clip.state())
    return root


@pytest.fixture(scope="module")
def runs(place):
    for name in ("old", "new"):
        flags = [f"--images={place / name}", f"--list={place / 'list.tsv'}", f"--run={place / f'run-{name}'}"]
        assert cli.main(["prompts", *flags]) == 0
    return place / "run-old", place / "run-new"


def scored(place, run, *more):
    weights = f"--weights=clip={place / 'model.safetensors'}"
    return ["prompts", f"--run={run}", weights, f"--vocabulary={tiny_clip.VOCABULARY}", "--candidates=3", *more]


def test_a_folder_of_images_becomes_a_run(place, runs):
    """Breaks if 10.png comes before 9.png, so that images are judged by others' prompts, or pixels change."""
    run = open_run(runs[0])
    assert run.manifest.system == "old" and run.manifest.seeds == (0, 1)
    assert [prompt.text for prompt in run.manifest.prompts] == TEXTS and run.manifest.prompts[1].category == "Things"
    for row in range(8):
        np.testing.assert_array_equal(run[row : row + 1][0], np.asarray(Image.open(place / "old" / f"{row + 5}.png")))
    nested = open_run(runs[1])
    np.testing.assert_array_equal(nested[5:6][0], np.asarray(Image.open(place / "new" / "0002" / "1.png")))


def test_a_run_is_scored(place, runs, capsys):
    """Breaks if the command gives other figures than the functions, or leaves out which network they are of."""
    assert cli.main([*map(str, scored(place, runs[0], f"--references={place / 'references.tsv'}"))]) == 0
    out = capsys.readouterr().out
    document = json.loads((runs[0] / "metrics.json").read_text())
    clip = open_clip(place / "model.safetensors", tiny_clip.VOCABULARY)
    run = open_run(runs[0])
    texts = [run.prompt(row).text for row in range(8)]
    plain, prefixed = (scorer(clip, prefix)(run, texts) for prefix in ("", "A photo depicts "))
    figures = document["figures"]
    network = "64x1/16-32"
    np.testing.assert_allclose(figures["CLIP cosine"]["value"], plain.mean(), atol=1e-6)
    np.testing.assert_allclose(
        figures[f"CLIPScore-{network}"]["value"], 2.5 * np.maximum(prefixed, 0).mean(), atol=1e-6
    )
    assert {"R-precision", f"RefCLIPScore-{network}", "CLIP percent"} < {*figures}
    assert all(name in out for name in figures) and "report.html" in out and "8 images of 4 prompts by old" in out
    one = figures["R-precision"]
    assert clip.images.weights in one["protocol"] and clip.vocabulary in one["protocol"] and one["n"] == 8
    assert [*document["tables"]["Categories"]] == ["Nature", "Things"]
    assert (runs[0] / "report.html").stat().st_size > 5000


def test_two_runs_become_a_sheet(place, runs, tmp_path, capsys):
    """Breaks if the page is not of these runs, or --num pairs are not so many."""
    page = tmp_path / "sheet.html"
    assert cli.main(["sheet", *map(str, runs), f"--out={page}"]) == 0
    assert "4 pairs in" in capsys.readouterr().out and page.read_text().count('class="item"') == 4
    assert cli.main(["sheet", *map(str, runs), f"--out={page}", "--num=2", "--seed=3"]) == 0
    assert page.read_text().count('class="item"') == 2
    assert "at most the 4 prompts" in refused(capsys, "sheet", *runs, "--num=5")


def test_what_does_not_fit_is_refused(place, runs, tmp_path, capsys):
    """Breaks if images are spread over the wrong prompts, or those of another folder are kept for these."""
    listed, run = f"--list={place / 'list.tsv'}", f"--run={tmp_path / 'run'}"
    images = f"--images={place / 'old'}"
    assert "go together" in refused(capsys, "prompts", run, images)
    assert "go together" in refused(capsys, "prompts", run, "--system=x")
    assert "found none" in refused(capsys, *scored(place, tmp_path / "run"))
    assert "one CLIP and its vocabulary" in refused(capsys, "prompts", f"--run={runs[0]}")
    assert "among 100 texts" in refused(capsys, *scored(place, runs[0])[:-1])
    assert "another about" in refused(
        capsys, "prompts", f"--images={place / 'new'}", listed, f"--run={runs[0]}", "--system=old"
    )
    some = paint(tmp_path / "some", 0, lambda i: f"{i}.png")
    (some / "7.png").unlink()
    assert "got 7 in all" in refused(capsys, "prompts", run, f"--images={some}", listed)
    Image.new("RGB", (9, 9)).save(some / "7.png")
    said = refused(capsys, "prompts", run, f"--images={some}", listed)
    assert "one size" in said and "7.png" in said
    assert "found none" in refused(capsys, "prompts", run, f"--images={tmp_path / 'nowhere'}", listed)
    (tmp_path / "bad.tsv").write_text("Prompt\tReference\na red cube\n")
    assert "line 2" in refused(capsys, *scored(place, runs[0], f"--references={tmp_path / 'bad.tsv'}"))
    (tmp_path / "bad.tsv").write_text("Prompt\tReference\na red cube\tone\n")
    assert "no reference for 'two cats'" in refused(
        capsys, *scored(place, runs[0], f"--references={tmp_path / 'bad.tsv'}")
    )
