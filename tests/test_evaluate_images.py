"""If these fail, `jaxgen evaluate --real --fake` measures other images than it was given, or forgets what it saw."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from command import refused
from PIL import Image

from jaxgen import cli
from jaxgen.commands import measure, metrics
from jaxgen.evaluate import figures
from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.stream import features, running
from jaxgen.evaluate.stream.features import Extractor

REAL, FAKE = (np.random.default_rng(i).integers(0, 256, (n, 6, 6, 3), np.uint8) for i, n in ((0, 50), (1, 45)))


@pytest.fixture
def images(tmp_path):
    """--real, a file, and --fake, a folder, and where the report goes."""
    np.savez(tmp_path / "real.npz", REAL, np.arange(50) % 2)
    for i, image in enumerate(FAKE):
        path = tmp_path / "fake" / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path


def rows(x):
    return x.reshape(len(x), -1)[:, :4].astype(float) / 255


@pytest.fixture
def tiny(monkeypatch):
    """A network named tiny, whose features are a few pixels, and a list of how many images each of its blocks had."""

    def fn(params, x):
        return {"features": x.reshape(len(x), -1)[:, :4].astype(jnp.float32) / 255, "logits": x[:, 0, 0] / 50.0}

    monkeypatch.setitem(metrics.NETWORKS, "tiny", metrics.Network("tiny", "tiny", "tiny"))
    monkeypatch.setattr(measure, "open_network", lambda name, weights: Extractor(fn, (), "a few pixels, float32"))
    monkeypatch.setattr(features, "BLOCK", 10)
    monkeypatch.setattr(running, "SHARE", 0)


def command(images, *more):
    return ["evaluate", f"--real={images}/real.npz", f"--fake={images}/fake", f"--out={images}/out", *more]


def document(images):
    return json.loads((images / "out" / "metrics.json").read_text())


def test_figures_of_two_sets_of_images(images, tiny, capsys):
    """From the files to the page: each figure under the name of its network, with n and protocol, pairs one to one."""
    np.savez(images / "real.npz", REAL[:45], np.arange(45) % 2)
    assert cli.main(command(images, "--metrics=fd@tiny,prdc@tiny,is@tiny,nn,psnr,mse")) == 0
    found = document(images)["figures"]
    expected = frechet(moments(rows(FAKE)), moments(rows(REAL[:45])))
    assert found["FD-tiny"]["value"] == pytest.approx(expected, rel=1e-5) and found["FD-tiny"]["n"] == 45
    assert found["FD-tiny"]["protocol"] == "a few pixels, float32; against 45 images of real.npz"
    assert found["IS-tiny"]["protocol"] == "a few pixels, float32" and found["IS-tiny"]["layer"] == "logits"
    assert found["copies"]["value"] == 0 and {"precision-tiny", "coverage-tiny"} <= set(found)
    errors = np.square((FAKE.astype(float) - REAL[:45]) / 255).mean((1, 2, 3))
    assert found["MSE"]["value"] == pytest.approx(errors.mean(), rel=1e-6)
    assert found["PSNR"]["value"] == pytest.approx(-10 * np.log10(errors).mean(), rel=1e-6)
    said = capsys.readouterr().out
    assert all(name in said for name in found) and (images / "out" / "report.html").exists()


def test_a_killed_evaluation_goes_on_with_the_images_it_has_not_seen(images, tiny, monkeypatch, capsys):
    """Breaks if features are computed again after a kill, of either side, in the middle or when the figures are taken;
    or if what is kept of the samples stays, or of the real images does not."""
    argv = command(images, "--metrics=fd@tiny,is@tiny")
    assert cli.main(argv) == 0
    whole = document(images)
    (kept,) = (images / "out").glob("features_*.npz")
    kept.unlink()
    seen = []
    real = features.batched

    def watched(fn, mesh):
        run = real(fn, mesh)

        def counted(params, seed, arrays, n, batch, done):
            if len(seen) in stops:
                stops.remove(len(seen))
                raise KeyboardInterrupt
            seen.append(n)
            return run(params, seed, arrays, n, batch, done)

        return counted

    stops = [2, 6]
    monkeypatch.setattr(features, "batched", watched)
    assert cli.main(argv) == 130 and cli.main(argv) == 130
    with monkeypatch.context() as late:
        late.setattr(measure, "told", lambda real: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli.main(argv) == 130
    assert cli.main(argv) == 0
    assert len(seen) == 5 + 5 and document(images) == whole
    assert cli.main(argv) == 0
    assert len(seen) == 5 + 5 + 5  # the samples, as others may be there


def test_statistics_stand_for_the_images_behind_them(images, tiny, capsys):
    """Breaks if a distance from a file of statistics is another one than from the images."""
    save = ["evaluate", f"--real={images}/real.npz", f"--save_statistics={images}/stats.npz"]
    assert cli.main([*save, "--metrics=fd@tiny"]) == 0
    assert "50 images of real.npz" in capsys.readouterr().out
    with np.load(images / "stats.npz") as file:
        assert file["n"] == 50
        np.testing.assert_allclose(file["mu"], rows(REAL).mean(0), rtol=1e-6)
    assert "features of one network" in refused(capsys, *save, "--metrics=fd")
    argv = ["evaluate", f"--fake={images}/fake", f"--out={images}/out", "--metrics=fd@tiny"]
    assert cli.main([*argv, f"--real={images}/stats.npz"]) == 0
    value = document(images)["figures"]["FD-tiny"]["value"]
    assert value == pytest.approx(frechet(moments(rows(FAKE)), moments(rows(REAL))), rel=1e-5)
    said = refused(capsys, *argv[:-1], "--metrics=prdc@tiny", f"--real={images}/stats.npz")
    assert "needs images, of which stats.npz has statistics only" in said


def test_bad_input_is_one_sentence(images, tiny, capsys):
    """Breaks if sizes that do not match, too few images, NaN features or a damaged file end in a traceback."""
    argv = command(images)
    assert "must have the shape (6, 6, 3) of real.npz, got (4, 4, 3)" in refused(
        capsys, *command(images, "--image_size=4")
    )
    assert "one to one" in refused(capsys, *command(images, "--metrics=ssim"))
    assert "bpd is of a model" in refused(capsys, *command(images, "--metrics=bpd"))
    assert "--fake and --real" in refused(capsys, "evaluate", f"--fake={images}/fake")
    assert "Fréchet distances" in refused(capsys, *argv[:2], "--metrics=prdc", "--save_statistics=x.npz")
    damaged = images / "fake" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert "07.png" in refused(capsys, *argv) and not (images / "out" / "report.html").exists()
    assert cli.main(command(images, "--skip_bad", "--metrics=fd@tiny")) == 0
    assert "warning: left out" in capsys.readouterr().err and document(images)["figures"]["FD-tiny"]["n"] == 44
    for i in range(1, 45):
        (images / "fake" / f"{i:02}.png").unlink()
    assert "fd@tiny needs at least 2 images of each side, got 1 of fake" in refused(
        capsys, *command(images, "--metrics=fd@tiny")
    )


def test_features_that_are_not_finite_are_refused(images, tiny, monkeypatch, capsys):
    """Breaks if NaN of a network, or of wrong weights, becomes a figure."""
    network = Extractor(lambda params, x: {"features": x.mean((1, 2)) / 0.0 - jnp.inf}, (), "broken")
    monkeypatch.setattr(measure, "open_network", lambda name, weights: network)
    assert "features must be finite" in refused(capsys, *command(images, "--metrics=fd@tiny"))


def test_every_name_of_a_metric_means_one():
    """Breaks if an alias is of a metric or a network that is not there, or two figures of a report had one name."""
    for name in metrics.ALIASES:
        one = metrics.parse(name)
        assert one.metric is figures.METRICS[metrics.ALIASES[name].partition("@")[0]]
    result = figures.Result("FD", 0.0, "", 2)
    distances = [name for name, full in metrics.ALIASES.items() if full.startswith("fd@")]
    named = {name: metrics.parse(name).named(result, "").name for name in distances}
    assert len(set(named.values())) == len(named)
    assert named["fid"] == "FID" and named["sfid"] == "sFID" and named["fd"] == "FDpix" and named["fvd"] == "FVD"
    assert named["fd_lite0"] == "FD-lite0" and named["fd_dinov2"] == "FD-DINOv2"
