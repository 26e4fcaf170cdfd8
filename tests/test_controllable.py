"""Restoring images and guiding by a classifier, from the command line."""

import json
import re
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from command import refused, train
from PIL import Image

from jaxgen import cli
from jaxgen.classifier import Classifier
from jaxgen.commands.accuracy import accuracy
from jaxgen.commands.model import open_model, open_run
from jaxgen.commands.restore import degradable, spread
from jaxgen.data import load
from jaxgen.sde import edm

GUIDE = [
    "--config.family=classifier",
    "--config.data.conditional=True",
    "--config.model=wideresnet",
    "--config.model.depth=10",
    "--config.model.widen=1",
    "--config.loss.label=noise_level",
    "--config.loss.scale_in=one",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An unconditional diffusion model, hardly trained."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert cli.main(train(folder, "--config.train.steps=2")) == 0
    return folder


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """A classifier on the process and in the space of `run`, hardly trained."""
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    assert cli.main(train(folder, *GUIDE, "--config.train.steps=2", "--config.train.sample_every=1")) == 0
    return folder


def restore(run, out, *argv):
    return ["restore", f"--workdir={run}", f"--out={out}", *argv]


def columns(path, num):
    """The tiles of a picture of three columns, [num, 3, 8, 8], as levels."""
    pixels = np.asarray(Image.open(path))
    tiles = pixels[2:, 2:].reshape(num, 50, 3, 50).swapaxes(1, 2)[:, :, :48:6, :48:6]
    return tiles * (16 / 255)


@pytest.mark.parametrize("method", ["pigdm", "dps", "replacement"])
def test_what_is_known_stays_and_the_rest_is_filled_in(method, run, tmp_path, capsys):
    """Breaks if a method is not reached, known pixels change by one level, or the picture shows other images."""
    sampler = ["--sampler=ancestral", "--steps=4"]
    assert cli.main(restore(run, tmp_path / "x.png", "--task=inpaint", f"--method={method}", "--num=3", *sampler)) == 0
    printed = capsys.readouterr().out
    assert "0.0000 with what was seen put in" in printed and f"by {method}: measurement error" in printed
    given, seen, made = np.rint(columns(tmp_path / "x.png", 3)).swapaxes(0, 1)
    truth = load("digits", "test").records[:3]["x"][..., 0]
    np.testing.assert_array_equal(given, truth)
    np.testing.assert_array_equal(made[:, :, 4:], truth[:, :, 4:])
    np.testing.assert_array_equal(seen[:, :, 4:], truth[:, :, 4:])
    assert (seen[:, :, :4] == 8).all() and (made[:, :, :4] != truth[:, :, :4]).any()
    psnr = -10 * np.log10(np.mean(np.square((made - truth)[:, :, :4] / 16)))
    assert float(re.search(r"PSNR (\S+) dB", printed)[1]) == pytest.approx(psnr, abs=0.06)


def test_other_tasks_masks_and_samplers(run, tmp_path, capsys):
    """Breaks if means are not kept, a mask from a file is read the wrong way round, or the adaptive flow mixes up the
    measurements of its images."""
    out = tmp_path / "x.png"
    assert cli.main(restore(run, out, "--task=superres", "--num=2", "--sampler=dpmpp_2m")) == 0
    given, seen, made = columns(out, 2).swapaxes(0, 1)
    blocks = given.reshape(2, 4, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(seen[:, ::2, ::2], blocks, atol=0.1)
    means = made.reshape(2, 4, 2, 4, 2).mean((2, 4))  # but for levels that lie outside 0 .. 16
    assert np.corrcoef(means.ravel(), blocks.ravel())[0, 1] > 0.9
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    adaptive = [
        "--sampler=probability_flow",
        "--config.sampling.solver.rtol=1e-2",
        "--config.sampling.solver.atol=1e-2",
    ]
    assert cli.main(restore(run, out, "--task=inpaint", f"--mask={tmp_path}/mask.png", "--num=2", *adaptive)) == 0
    given, seen, made = np.rint(columns(out, 2)).swapaxes(0, 1)
    np.testing.assert_array_equal(made[:, 2:5], given[:, 2:5])
    assert (seen[:, :2] == 8).all()
    assert cli.main(restore(run, out, "--task=inpaint", "--mask=random", "--num=2", "--steps=2")) == 0
    seen = np.rint(columns(out, 2))[:, 1]
    assert (np.rint(seen[0]) == 8).mean() > 0.2 and ((seen[0] == 8) != (seen[1] == 8)).any()
    assert cli.main(restore(run, out, "--task=deblur", "--num=2", "--steps=2")) == 0
    assert "measurement error" in capsys.readouterr().out


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A diffusion model of images with colours, hardly trained."""
    folder = tmp_path_factory.mktemp("runs") / "emoji"
    assert cli.main(train(folder, "--config.data.dataset=emoji32", "--config.train.steps=2")) == 0
    return folder


@pytest.mark.parametrize("task", ["colorize", "superres"])
def test_colours_are_restored(task, colours, tmp_path, capsys):
    """Breaks if the mean of the channels or of blocks is taken, shown or kept wrongly in images with three channels."""
    argv = [f"--task={task}", "--method=dps", "--num=2", "--sampler=ancestral", "--steps=30", "--weight=1000"]
    assert cli.main(restore(colours, tmp_path / "x.png", *argv)) == 0
    alone, kept = (float(v) for v in re.search(r"error (\S+) .*, (\S+) with", capsys.readouterr().out).groups())
    truth = load("emoji32", "test").records[:2]["x"].astype(float)

    def measured(x):
        return x.mean(-1) if task == "colorize" else x.reshape(2, 16, 2, 16, 2, 3).mean((2, 4))

    def tiles():
        pixels = np.asarray(Image.open(tmp_path / "x.png")).astype(float)
        size = (pixels.shape[0] - 2) // 2 - 2
        cells = pixels[2:, 2:].reshape(2, size + 2, 3, size + 2, 3).swapaxes(1, 2)[:, :, :size, :size]
        return cells[:, :, :: size // 32, :: size // 32].swapaxes(0, 1)

    given, seen, made = tiles()
    np.testing.assert_array_equal(given, truth)
    np.testing.assert_allclose(measured(seen), measured(truth), atol=1)
    assert np.sqrt(np.mean((measured(made) - measured(truth)) ** 2)) / 255 == pytest.approx(kept, abs=2e-4)
    assert kept < 0.1 and alone < 0.1


@pytest.mark.parametrize("method", ["pigdm", "dps"])
def test_the_error_that_is_printed_is_the_methods_own(method, run, tmp_path, capsys):
    """Breaks if what a method leaves of the measurement is hidden by what is put into its images, or the weight does
    not reach it: without guidance the known half is as wrong as the unknown one."""

    def missed(weight):
        argv = ["--task=inpaint", f"--method={method}", f"--weight={weight}", "--steps=12"]
        assert cli.main(restore(run, tmp_path / "x.png", *argv)) == 0
        return float(re.search(r"measurement error (\S+) ", capsys.readouterr().out)[1])

    assert missed(1) < 0.05 < 0.2 < missed(0)


def test_a_model_that_has_not_seen_its_data_restores(run, tmp_path):
    """Breaks if a converted checkpoint, whose training data nobody measured, is refused: PiGDM, which alone needs
    their spread, must take that of the images at hand."""
    folder = shutil.copytree(run, tmp_path / "converted")
    document = json.loads((folder / "config.json").read_text())
    for key in ("prediction", "scale_in"):
        document["config"]["loss"][key]["sigma_data"] = document["statistics"]["sigma_data"]
    (folder / "config.json").write_text(json.dumps(document | {"statistics": None}))
    assert cli.main(restore(folder, tmp_path / "x.png", "--task=inpaint", "--num=2", "--steps=3")) == 0
    unseen = open_run(folder)
    assert spread(unseen, degradable(unseen, None), 0) == pytest.approx(document["statistics"]["sigma_data"], rel=0.05)


def test_images_of_a_folder_are_restored(run, tmp_path, capsys):
    """Breaks if a user's own images are not brought to the levels of the model."""
    (tmp_path / "mine").mkdir()
    x = np.arange(64).reshape(8, 8) % 17
    Image.fromarray(np.rint(x * (255 / 16)).astype(np.uint8)).save(tmp_path / "mine" / "a.png")
    mine = ["--task=inpaint", f"--images={tmp_path}/mine", "--steps=2"]
    assert cli.main(restore(run, tmp_path / "x.png", *mine)) == 0
    given, _, made = np.rint(columns(tmp_path / "x.png", 1))[0]
    np.testing.assert_array_equal(given, x)
    np.testing.assert_array_equal(made[:, 4:], x[:, 4:])
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "mine" / "a.png")
    assert "those to restore are (8, 8, 3)" in refused(capsys, *restore(run, tmp_path / "y.png", *mine))


def test_a_classifier_guides(run, guide, tmp_path):
    """Breaks if labels do not reach the classifier, its gradient does not reach the samples, or scale 0 is not the
    model itself."""

    def draw(*argv):
        assert cli.main(["sample", f"--workdir={run}", "--num=4", f"--out={tmp_path}/x.npz", *argv]) == 0
        with np.load(tmp_path / "x.npz") as data:
            return data["images"], data.get("labels")

    judged = [f"--classifier={guide}", "--label=3,5"]
    plain, none = draw()
    assert none is None
    idle, labels = draw(*judged, "--scale=0")
    np.testing.assert_array_equal(idle, plain)
    assert labels.tolist() == [3, 5, 3, 5]
    guided, _ = draw(*judged, "--scale=300")
    other, _ = draw(f"--classifier={guide}", "--label=5,3", "--scale=300", f"--strip={tmp_path}/strip.png")
    assert (guided != plain).any() and (guided != other).any() and (tmp_path / "strip.png").exists()


def test_a_guided_model_has_no_likelihood(run, guide, capsys):
    """Breaks if labels reach a network that knows no classes, or the likelihood of the model alone is taken for that of
    the guided one."""
    argv = ["evaluate", f"--workdir={run}", f"--classifier={guide}", "--metrics=fd,bpd"]
    assert "a classifier guides it. Drop --classifier" in refused(capsys, *argv)


def test_a_classifier_is_measured_by_noise_level(guide, capsys):
    """Breaks if noise is not added at the level that is said, in model space: what the nearest mean of a class tells
    without noise must be lost in it."""
    assert not (guide / "samples").exists()
    assert cli.main(["evaluate", f"--workdir={guide}"]) == 0
    figures = json.loads((guide / "eval" / "2" / "metrics.json").read_text())["figures"]
    assert "accuracy_at_0.002" in figures and "accuracy_at_50" in capsys.readouterr().out
    assert cli.main(["info", f"--workdir={guide}"]) == 0
    assert "cross-entropy" in capsys.readouterr().out

    train_set = load("digits").records[:]
    means = np.stack([train_set["x"][train_set["label"] == c].mean(0) for c in range(10)]) / 8 - 1

    def nearest(params):
        return Classifier(edm(), lambda x, t: -jnp.sum(jnp.square(x[:, None] - means), (2, 3, 4)))

    model = open_model(guide)
    results, _ = accuracy(model._replace(recipe=model.recipe._replace(classifier=nearest)), seed=0)
    shares = {result.name: result.value for result in results}
    assert shares["accuracy_at_0.002"] > 0.8 and shares["accuracy_at_50"] < 0.2
    assert 0.5 < shares["accuracy_at_1"] < 0.8 and all(result.n == 360 for result in results)


def test_what_does_not_fit_is_one_sentence(run, guide, tmp_path, capsys):
    """Breaks if a wrong task, method, mask or factor ends in a traceback, or in a picture."""

    def attempt(*argv):
        return refused(capsys, *restore(run, tmp_path / "x.png", *argv))

    assert "did you mean 'inpaint'" in attempt("--task=inpant")
    assert "did you mean 'pigdm'" in attempt("--task=inpaint", "--method=pidgm")
    assert "argument of method replacement 'weight'" in attempt("--task=inpaint", "--method=replacement", "--weight=2")
    assert "did you mean 'bottom'" in attempt("--task=inpaint", "--mask=botom")
    assert "several channels" in attempt("--task=colorize")
    assert "a factor of 3 does not divide" in attempt("--task=superres", "--factor=3")
    assert "chooses its own steps" in attempt(
        "--task=inpaint", "--method=replacement", "--sampler=probability_flow", "--num=1"
    )
    Image.fromarray(np.zeros((8, 6), np.uint8)).save(tmp_path / "mask.png")
    assert "must be [8, 8, 1 or 1], got (8, 6, 1)" in attempt("--task=inpaint", f"--mask={tmp_path}/mask.png")
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "mask.png")
    assert "no dark pixel" in attempt("--task=inpaint", f"--mask={tmp_path}/mask.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "mask.png")
    assert "no light pixel" in attempt("--task=inpaint", f"--mask={tmp_path}/mask.png")
    assert "found none" in attempt("--task=inpaint", f"--mask={tmp_path}/none.png")
    assert "found none" in attempt("--task=inpaint", f"--images={tmp_path}/none")
    assert "without classes" in attempt("--task=inpaint", "--label=3")
    assert "must end in .png" in refused(capsys, *restore(run, "x.npz", "--task=inpaint"))
    assert "draws no images" in refused(capsys, *restore(guide, tmp_path / "x.png", "--task=inpaint"))
    assert not (tmp_path / "x.png").exists()


def test_a_classifier_only_guides_what_it_was_trained_for(run, guide, tmp_path, capsys):
    """Breaks if a classifier of another process, space or kind is used: its gradient would be noise."""

    def another(section, key, value):
        folder = shutil.copytree(guide, tmp_path / key)
        document = json.loads((folder / "config.json").read_text())
        document["config"][section][key] = value
        (folder / "config.json").write_text(json.dumps(document))
        return refused(capsys, "sample", f"--workdir={run}", f"--classifier={folder}", f"--out={tmp_path}/x.png")

    assert "trained on the process edm, but the model on edm, or" in another("sde", "sigma_max", 20.0)
    assert "data.center=True, but the model with False" in another("data", "center", True)
    sample = ["sample", f"--out={tmp_path}/x.png"]
    assert "family=diffusion" in refused(capsys, *sample, f"--workdir={run}", f"--classifier={run}")
    assert "draws no images" in refused(capsys, *sample, f"--workdir={guide}")
    assert "has no likelihood: it is a classifier" in refused(capsys, "likelihood", f"--workdir={guide}")
    assert "0 .. 9, got 12" in refused(capsys, *sample, f"--workdir={run}", f"--classifier={guide}", "--label=12")
    bad = {
        "set data.conditional=True": ["--config.data.conditional=False"],
        "take model=wideresnet": ["--config.model=mlp"],
        "did you mean 'classifier'": ["--config.family=clasifier"],
    }
    for sentence, overrides in bad.items():
        assert sentence in refused(capsys, *train(tmp_path / "bad", *GUIDE, *overrides))
    assert not (tmp_path / "bad").exists()
