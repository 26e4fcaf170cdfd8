"""jaxgen reconstruct, interpolate and evaluate of a model with an encoder, from its work directory alone."""

import jax.numpy as jnp
import numpy as np
import pytest
from command import refused
from PIL import Image

from jaxgen import cli
from jaxgen.commands.evaluate import interpolations
from jaxgen.commands.latent import ends_of, members, pairs_of, reconstructed
from jaxgen.commands.model import open_data, open_model
from jaxgen.data.records import Records, Source, Spec, source
from jaxgen.io import images

TINY = """
from jaxgen.configuration import call, default


def get_config():
    config = default("vae")
    config.data.conditional = True
    config.encoder = call("mlp_encoder", latent=4, width=16, blocks=1)
    config.decoder = call("mlp_decoder", width=16, blocks=1)
    config.train.steps = config.train.checkpoint_every = 2
    config.train.batch_size = 16
    config.train.sample_every = 0
    return config
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.py").write_text(TINY)
    assert cli.main(["train", f"--config={folder}/tiny.py", f"--workdir={folder}/vae"]) == 0
    return folder / "vae"


def labelled(*labels):
    """A source of images with these classes, too large to be held in memory; and the rows that are read of it."""
    asked = []

    def read(rows):
        asked.extend(rows.tolist())
        return {"x": np.zeros((len(rows), 1, 1, 1), np.uint8), "label": np.array(labels, np.int32)[rows]}

    return Source(Records(read, len(labels), False), Spec((1, 1, 1), 2, 3, ("a", "b", "c"), len(labels))), asked


def test_pairs_are_of_different_images_of_one_class(monkeypatch):
    """Breaks if a pair is of one image with itself, or of two classes, or a split is read beyond what is needed."""
    monkeypatch.setattr("jaxgen.commands.latent.BLOCK", 4)
    data, asked = labelled(0, 1, 0, 1, 1, 0, 2, 0, 1, 0, 1)
    found = members(data, [0, 1], 3)
    assert found == {0: [0, 2, 5], 1: [1, 3, 4]} and asked == list(range(8))
    assert members(data, [2], 6) == {2: [6]}
    rows = pairs_of(found, np.array([1, 0, 1, 1])).reshape(4, 2)
    assert rows.tolist() == [[1, 3], [0, 2], [4, 1], [3, 4]]


def test_classes_without_two_images_are_passed_by_or_refused(run, monkeypatch, capsys):
    """Breaks if a class that the split lacks ends in a division by zero, or stops the report of all others."""
    model = open_model(run)
    test = open_data(model.run, "test")
    keep = np.flatnonzero(test.records[:]["label"] != 3)
    rare = source(lambda rows: test.records[keep[rows]], test.spec._replace(size=len(keep)))
    monkeypatch.setattr("jaxgen.commands.latent.open_data", lambda run, split: rare)
    pairs, labels = ends_of(model, 8)
    assert labels.tolist() == [0, 1, 2, 4, 5, 6, 7, 8] and pairs.shape == (8, 2, 8, 8, 1)
    assert (pairs[:, 0] != pairs[:, 1]).any((1, 2, 3)).all()
    said = refused(capsys, "interpolate", f"--workdir={run}", "--label=3", f"--out={run}/a.png")
    assert "has 0 of class 3: take another --label" in said


def test_only_diffusion_models_have_a_strip(run, tmp_path, capsys):
    """Breaks if another sampler is advised for a model that has none."""
    flags = f"--workdir={run}", f"--out={tmp_path}/x.png", f"--strip={tmp_path}/s.png"
    assert "which a model of family=vae does not go: leave it out" in refused(capsys, "sample", *flags)
    assert not (tmp_path / "x.png").exists()


def test_pictures_have_a_tile_for_every_image(run, tmp_path, capsys):
    """Breaks if either command draws nothing, or another number of images than it was asked for."""
    assert cli.main(["reconstruct", f"--workdir={run}", "--num=6", f"--out={tmp_path}/pairs.png"]) == 0
    assert "wrote 6 images and their reconstructions" in capsys.readouterr().out
    assert cli.main(["interpolate", f"--workdir={run}", "--num=3", "--frames=5", f"--out={tmp_path}/way.png"]) == 0
    for name, count, columns in (("pairs", 12, 8), ("way", 15, 5)):
        tiled = images.grid(np.zeros((count, 8, 8, 1), np.uint8), columns)
        assert np.asarray(Image.open(tmp_path / f"{name}.png")).shape[:2] == tiled.shape[:2]
    for command in ("reconstruct", "interpolate"):
        assert "--out must end in .png" in refused(capsys, command, f"--workdir={run}", "--out=a.jpg")


def test_a_way_that_overflows_does_not_cost_the_report(run, monkeypatch):
    """Breaks if all that was measured is lost since a model is not finite between two images, as a flow may be."""
    model = open_model(run)
    decode = model.recipe.decode
    nowhere = model._replace(recipe=model.recipe._replace(decode=lambda *args: jnp.nan * decode(*args)))
    shown = interpolations(nowhere, 0, *ends_of(model, 8))
    assert shown.image is None and "72 of 72 images are not finite" in shown.caption
    assert interpolations(model, 0, *ends_of(model, 8)).image is not None


def test_a_reconstruction_is_a_mean(run):
    """Breaks if the error of a model with a posterior holds the noise of its draws: MSE would not compare with that of
    an autoencoder without."""
    model = open_model(run)
    batch = open_data(model.run, "test").records[:8]
    one, other = (reconstructed(model, batch["x"], batch["label"], seed) for seed in (0, 1))
    np.testing.assert_array_equal(one, other)
