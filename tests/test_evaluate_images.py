"""If these fail, `jaxgen evaluate --real --fake` measures other images than it was given, or forgets what it saw."""

import hashlib
import json
import os
import sys
from contextlib import contextmanager

import jax.numpy as jnp
import numpy as np
import pytest
from command import refused
from PIL import Image

from jaxgen import cli
from jaxgen.commands import measure, metrics
from jaxgen.data import records
from jaxgen.evaluate import figures, neighbourhood
from jaxgen.evaluate.distribution import blocks
from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.stream import features, running
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import open_side
from jaxgen.io.progress import Progress

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

    monkeypatch.setitem(
        metrics.NETWORKS, "tiny", metrics.Network("tiny", "tiny", "tiny", "tiny.pth", layers=metrics.CLASSES)
    )
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


def test_images_that_are_there_twice(images):
    """Breaks if pixels that are read from a file cannot be looked at once each, or a repeated image loses its copies:
    four real images are all there is of both sides."""
    np.savez(images / "real.npz", np.repeat(REAL[:4], 6, 0))
    np.savez(images / "fake.npz", np.repeat(REAL[:4], 3, 0))
    fake = f"--fake={images}/fake.npz"
    assert cli.main([*command(images, "--metrics=prdc,nn")[:2], fake, f"--out={images}/out", "--metrics=prdc,nn"]) == 0
    found = {name: figure["value"] for name, figure in document(images)["figures"].items()}
    assert found["copies"] == 12 and found["nearest_real_median"] == 0
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_a_reference_that_is_mostly_one_image(images):
    """Breaks if pictures of realism, which nobody asked for and most of whose balls are points, end in a refusal."""
    np.savez(images / "real.npz", np.concatenate([np.repeat(REAL[:1], 30, 0), REAL[:20]]))
    assert cli.main(command(images, "--metrics=prdc,nn")) == 0
    page = (images / "out" / "report.html").read_text()
    assert "Samples most like copies, by raw pixels" in page and "realistic in raw pixels" not in page


def test_each_table_of_neighbours_is_searched_once(images, monkeypatch):
    """Breaks if figures and pictures of one space search the same neighbours again, which at 50,000 images is minutes
    each."""
    searched = []

    def counted(name):
        search = getattr(neighbourhood, name)
        monkeypatch.setattr(neighbourhood, name, lambda *given: searched.append(name) or search(*given))

    for name in ("nearest", "nearest_others", "membership", "realism_within"):
        counted(name)
    assert cli.main(command(images, "--metrics=fd,prdc,nn,ipr@pixels,realism@pixels")) == 0
    once = ["membership", "membership", "nearest", "nearest_others", "nearest_others", "realism_within"]
    assert sorted(searched) == once  # of both sides, and balls of 5 and 3 neighbours


@pytest.mark.parametrize("terminal", [True, False])
def test_figures_and_pictures_are_watched_on_a_terminal(terminal, images, monkeypatch, capsys):
    """Breaks if minutes of neighbours look like a command that hangs, or a log is filled with bars."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert cli.main(command(images, "--metrics=nn,prdc")) == 0
    said = capsys.readouterr().err
    assert (("figures of pixels:" in said) and ("2/2" in said) and ("pictures:" in said)) == terminal
    assert terminal or not said


def test_each_pass_over_the_images_is_watched(images, monkeypatch):
    """Breaks if a metric of many minutes stands still until it is done, or its passes are told of another one."""
    shown = []

    @contextmanager
    def progress(total, unit):
        yield Progress(lambda step, note: shown.append((step, note)))

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(measure, "progress", progress)
    monkeypatch.setattr(blocks, "BLOCK", 20)
    assert cli.main(command(images, "--metrics=nn,prdc")) == 0
    of_prdc = [note for step, note in shown if step == 1 and note.startswith("prdc")]
    assert of_prdc[0] == "prdc" and "prdc pass 1: 0%" in of_prdc and "prdc pass 1: 33%" in of_prdc
    assert (2, "") in shown and shown[-1] == (5, "")


def test_pictures_need_no_more_than_the_rows_that_are_there(images, capsys):
    """Breaks if the check for copies is left out where a Fréchet distance of raw pixels alone is asked for."""
    assert cli.main(command(images, "--metrics=fd")) == 0
    page = (images / "out" / "report.html").read_text()
    assert "Samples most like copies, by raw pixels" in page and "Principal components of raw pixels" in page


@pytest.mark.parametrize(
    ("metrics", "space"),
    [
        ("fd@tiny", "tiny features"),
        ("mode_score@tiny", "tiny features"),
        ("fd,prdc,nn,fd@tiny", "tiny features"),
        ("fd@tiny,realism@pixels", "raw pixels"),
        ("fd@tiny.logits,fd", "tiny features"),
    ],
)
def test_every_metric_of_both_sides_has_all_pictures(images, tiny, metrics, space):
    """Breaks if the page of a Fréchet distance alone has no check for copies, realism, classes or features, or those
    of several metrics are of another space than the realism beside them."""
    np.savez(images / "fake.npz", FAKE, np.arange(45) % 2)
    name, real, _, out = command(images)
    assert cli.main([name, real, f"--fake={images}/fake.npz", out, f"--metrics={metrics}"]) == 0
    page = (images / "out" / "report.html").read_text()
    for title in ("Samples most like copies, by", "Most realistic in", "Classes in", "Principal components of"):
        assert page.count(f"<b>{title} {space}</b>") == 1 and page.count(f"<b>{title}") == 1


def test_the_share_of_realistic_samples_is_that_of_the_pictures(images, tiny):
    """Breaks if the table says 0.02 and the pictures beside it 30 of 50."""
    assert cli.main(command(images, "--metrics=fd,prdc,nn,fd@tiny,realism@tiny")) == 0
    share = document(images)["figures"]["realistic-tiny"]["value"]
    assert f"{round(45 * share)} of 45 samples have 1 or more" in (images / "out" / "report.html").read_text()


def test_a_page_says_why_there_is_no_check_for_copies(images, tiny, monkeypatch):
    """Breaks if sections are missing in silence: of statistics, of metrics of samples alone, of features that memory is
    not meant for, of a few images, of one side without classes."""
    title = "No check for copies, realism, classes or features"

    def page(*more):
        assert cli.main([*command(images)[:1], f"--fake={images}/fake", f"--out={images}/out", *more]) == 0
        return (images / "out" / "report.html").read_text()

    np.savez(images / "stats.npz", mu=rows(REAL).mean(0), sigma=np.cov(rows(REAL), rowvar=False))
    said = page(f"--real={images}/stats.npz", "--metrics=fd@tiny")
    assert f"{title}</b> stats.npz has statistics, but no images." in said
    real = f"--real={images}/real.npz"
    assert "No metric was asked for that compares both sets" in page(real, "--metrics=vendi@tiny")
    assert title not in page("--metrics=vendi@tiny") and title not in page(real, "--metrics=fd@tiny")
    assert "fake has no classes" in page(real, "--metrics=fd@tiny")
    monkeypatch.setattr(measure, "MOST", 49)
    assert "has 50 images, and their features are kept of up to 49" in page(real, "--metrics=fd@tiny")
    assert title not in page(real, "--metrics=fd@tiny,nn@tiny") and title not in page(real, "--metrics=fd")
    np.savez(images / "real.npz", REAL[:5])
    assert "They need more than 5 images of each side." in page(real, "--metrics=nn")


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
        late.setattr(measure, "told", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
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
    assert "fd compares --fake with --real" in refused(capsys, "evaluate", f"--fake={images}/fake")
    assert "Fréchet distances" in refused(capsys, *argv[:2], "--metrics=prdc", "--save_statistics=x.npz")
    (images / "folder.npz").mkdir()
    for side, said in (
        ("x.txt", "got the file"),
        ("none.npz", "there are no images"),
        ("nowhere", "there is no folder"),
        ("nowhere:test", f"there is no folder {images}/nowhere:"),
        ("folder.npz", "expected a file"),
    ):
        if side == "x.txt":
            (images / side).write_text("hello")
        if side == "none.npz":
            np.savez(images / side, REAL[:0])
        assert said in refused(capsys, *argv[:2], f"--fake={images}/{side}", argv[3])
    assert "x.txt is a file" in refused(capsys, *argv[:3], f"--out={images}/x.txt/eval")
    np.savez(images / "fake.npz", REAL)
    assert "11 pixels a side" in refused(
        capsys, *argv[:2], f"--fake={images}/fake.npz", argv[3], "--metrics=fd@tiny,ssim"
    )
    assert not (images / "out").exists()
    damaged = images / "fake" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert "07.png" in refused(capsys, *argv) and not (images / "out" / "report.html").exists()
    assert cli.main(command(images, "--skip_bad", "--metrics=fd@tiny")) == 0
    assert "warning: left out" in capsys.readouterr().err and document(images)["figures"]["FD-tiny"]["n"] == 44
    assert (
        "; 44 images of fake (1 damaged file left out); against" in document(images)["figures"]["FD-tiny"]["protocol"]
    )
    assert document(images)["config"]["left_out"] == {"real": 0, "fake": 1}
    for i in range(1, 45):
        (images / "fake" / f"{i:02}.png").unlink()
    assert "fd@tiny needs at least 2 images of each side, got 1 of fake" in refused(
        capsys, *command(images, "--metrics=fd@tiny")
    )


def test_a_header_that_does_not_fit_is_found_before_a_network_runs(images, tiny, monkeypatch, capsys):
    """Breaks if one file of another size among many is found when those before it, and all real ones, have been seen;
    or if a photo that is marked as lying on its side is taken for one."""
    monkeypatch.setattr(measure, "accumulate", lambda *given: pytest.fail("the network ran"))
    monkeypatch.setattr(records, "IN_MEMORY", 0)
    argv, odd = command(images, "--metrics=fd@tiny"), images / "fake" / "30.png"
    Image.new("RGB", (6, 5)).save(odd)
    said = refused(capsys, *argv)
    assert f"got 6x5 pixels in {odd} after 6x6: set --image_size" in said
    Image.new("I;16", (6, 6)).save(odd)
    assert f"8 bits per channel in {odd}" in refused(capsys, *argv, "--image_size=6")
    for i, size in enumerate([(6, 5), (5, 6)]):
        turned = Image.new("RGB", size)
        turned.getexif()[0x0112] = 6 * i or 1
        (images / "turned").mkdir(exist_ok=True)
        turned.save(images / "turned" / f"{i}.jpg", exif=turned.getexif())
    assert open_side(str(images / "turned")).rows[:].shape == (2, 5, 6, 3)


def test_one_set_on_both_sides_is_said(images, capsys):
    """Breaks if a distance of 0 between a folder and itself, after a slip in a path, is believed."""
    argv = command(images, "--metrics=nn")
    assert cli.main(argv) == 0 and "warning" not in capsys.readouterr().err
    assert cli.main([argv[0], f"--real={images}/fake", *argv[2:]]) == 0
    said = capsys.readouterr().err
    assert f"warning: --real and --fake are the same images, {images}/fake." in said


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
    named = {name: figure_of(f"fd@{name}") for name in (metrics.PIXELS, *metrics.NETWORKS)}
    assert len(set(named.values())) == len(named)
    distances = [name for name, full in metrics.ALIASES.items() if full.startswith("fd@")]
    named = {name: figure_of(name) for name in distances}
    assert len(set(named.values())) == len(named)
    assert named["fid"] == "FID" and named["sfid"] == "sFID" and named["fd"] == "FDpix" and named["fvd"] == "FVD"
    assert named["fd_lite0"] == "FD-lite0" and named["fd_dinov2"] == "FD-DINOv2"
    assert figure_of("cmmd", "MMD") == "CMMD" and figure_of("fid_clean") == "FID-clean"


def figure_of(name, figure="FD", label=None):
    """The name of a figure of the metric `name` in a network that calls itself `label`, by default as published."""
    one = metrics.parse(name)
    known = metrics.NETWORKS.get(one.network)
    network = known and Extractor(None, None, "", label=known.label if label is None else label)
    return one.named(figures.Result(figure, 0.0, "", 2), "", network).name


def test_a_published_name_is_of_the_published_network_alone():
    """Breaks if CMMD is printed for a CLIP of another size, FID for weights of one's own, KID for raw pixels: numbers
    that would be compared with those of papers."""
    assert figure_of("cmmd", "MMD", "CLIP-B/32") == "MMD-CLIP-B/32-cmmd"
    assert figure_of("fd_dinov2", label="DINOv2-S/14") == "FD-DINOv2-S/14"
    assert figure_of("fid_clean", label="Inception (unknown weights)") == "FD-Inception-clean (unknown weights)"
    assert figure_of("sfid", label="Inception (unknown weights)") == "FD-Inception-spatial (unknown weights)"
    assert figure_of("fid", label="") == "FD-inception"
    of_pixels = {name: figure_of(f"{name}@pixels", figure) for name, figure in (("kid", "KID"), ("mmd", "MMD"))}
    assert of_pixels == {"kid": "KID-pix", "mmd": "MMD-pix"}
    assert figure_of("ipr@pixels", "improved_precision") == "improved_precision-pix"
    assert figure_of("prdc", "precision") == "precision"


def test_two_names_of_one_metric_are_measured_once(images, tiny):
    """Breaks if fd and fd@pixels are two figures of one name, which the report refuses after hours of work."""
    assert cli.main(command(images, "--metrics=nn,nn@pixels,fd@tiny,fd@tiny.features")) == 0
    assert [*document(images)["figures"]] == ["nearest_real_median", "nearest_real_p05", "copies", "FD-tiny"]


def test_one_reference_gives_one_distance_whatever_else_is_asked(images, tiny, monkeypatch, capsys):
    """Breaks if a file of images beside statistics of more images, as guided-diffusion publishes them, is the one with
    fid and the other with fid,kid: two values of one name and protocol."""
    monkeypatch.setattr(measure, "UNNAMED", "tiny")
    whole = np.random.default_rng(2).normal(0.5, 0.3, (500, 4))
    held = {"mu": whole.mean(0), "sigma": np.cov(whole, rowvar=False)}
    np.savez(images / "real.npz", REAL, **held)
    assert cli.main(command(images, "--metrics=fd@tiny")) == 0
    alone = document(images)["figures"]["FD-tiny"]
    assert "warning: real.npz does not say of which features" in capsys.readouterr().err
    assert cli.main(command(images, "--metrics=fd@tiny,prdc@tiny")) == 0
    found = document(images)["figures"]
    assert (
        found["FD-tiny"]["value"] == pytest.approx(alone["value"]) and found["FD-tiny"]["protocol"] == alone["protocol"]
    )
    assert alone["value"] == pytest.approx(frechet(moments(rows(FAKE)), moments(whole)), rel=1e-3)
    assert alone["protocol"].endswith(
        "against the statistics in real.npz of an unknown number of images, which do not say of which features they are"
    )
    assert found["recall-tiny"]["protocol"] == "a few pixels, float32; against 50 images of real.npz"
    np.savez(images / "real.npz", REAL, features="a few pixels, float32", n=500, **held)
    monkeypatch.setattr(measure, "UNNAMED", "inception")
    assert cli.main(command(images, "--metrics=fd@tiny")) == 0
    assert document(images)["figures"]["FD-tiny"]["protocol"].endswith("the statistics in real.npz of 500 images")
    np.savez(images / "real.npz", REAL, features="others", n=500, **held)
    assert cli.main(command(images, "--metrics=fd@tiny")) == 0
    assert document(images)["figures"]["FD-tiny"]["protocol"].endswith("against 50 images of real.npz")


@pytest.mark.parametrize(
    ("metric", "arrays", "said"),
    [
        ("fd@tiny", {"features": "others"}, "are of others, but these are a few pixels"),
        (
            "fd@tiny",
            {"mu": np.zeros(3), "sigma": np.eye(3)},
            "are of 3 features, but those of a few pixels, float32 are 4",
        ),
        ("fd@tiny.logits", {"n": 9}, "needs mu_logits and sigma_logits in real.npz, which has statistics of features"),
    ],
)
def test_statistics_of_others_are_refused_before_a_network_runs(
    images, tiny, capsys, monkeypatch, metric, arrays, said
):
    """Breaks if that is found out when all samples have been seen."""
    monkeypatch.setattr(measure, "accumulate", lambda *given: pytest.fail("the network ran"))
    np.savez(images / "real.npz", **{"mu": np.zeros(4), "sigma": np.eye(4)} | arrays)
    assert said in refused(capsys, *command(images, f"--metrics={metric}"))


def test_pairs_that_are_none_are_refused_before_a_network_runs(images, tiny, capsys, monkeypatch):
    """Breaks if another number of images or other file names are found out when all networks have run."""
    monkeypatch.setattr(measure, "accumulate", lambda *given: pytest.fail("the network ran"))
    assert "psnr compares at least 2 images one to one" in refused(capsys, *command(images, "--metrics=fd@tiny,psnr"))
    (images / "fake").rename(images / "other")
    for i, image in enumerate(FAKE):
        path = images / "fake" / f"{i + 1:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    argv = ["evaluate", f"--real={images}/other", f"--fake={images}/fake", f"--out={images}/out"]
    assert "00.png beside 01.png" in refused(capsys, *argv, "--metrics=fd@tiny,psnr")


def test_what_was_seen_of_the_reference_is_kept_for_other_metrics(images, tiny, monkeypatch):
    """Breaks if rows that one command keeps are lost when the next needs other states, or seen again for moments."""
    seen, real = [], measure.accumulate

    def watched(network, rows, needs, *given):
        seen.append(len(rows))
        return real(network, rows, needs, *given)

    monkeypatch.setattr(measure, "accumulate", watched)
    for name in ("prdc@tiny", "mode_score@tiny", "fd@tiny", "mode_score@tiny", "prdc@tiny"):
        assert cli.main(command(images, f"--metrics={name}")) == 0
    assert seen.count(len(REAL)) == 2 and seen.count(len(FAKE)) == 5
    assert len(list((images / "out").glob("features_*"))) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--metrics=fd@tiny,FIDD"], "unknown metric 'FIDD': did you mean 'fid'?"),
        (["--metrics=fd@tiny,bdp"], "unknown metric 'bdp': did you mean 'bpd'?"),
        (["--metrics=fd@tiny,fd@tiny.feature"], "unknown layer of tiny 'feature': did you mean 'features'?"),
        (["--metrics=fd@tiny,fd@tin"], "unknown network 'tin': did you mean 'tiny'?"),
        (["--metrics=fd@tiny", "--weights=vgg=x.pth"], "leave it out, or ask for ipr or realism or lpips_vgg"),
        (["--metrics=fd@tiny", "--weights=clip_gelu=x"], "ask for METRIC@clip_gelu"),
        (["--metrics=fd@tiny", "--weights=lpips_vgg=x"], "ask for lpips_vgg"),
        (["--metrics=fd@tiny", "--weights==x"], "must be NETWORK=PATH"),
        (["--metrics=is@inception.features"], "which features are not: ask for is@inception."),
        (["--metrics=mode_score@tiny.features"], "mode_score@tiny.features needs probabilities of classes"),
        (["--metrics=am_score@inception.spatial"], "needs probabilities of classes, which spatial are not"),
        (["--metrics=is@vgg"], "needs the logits of a network, but vgg has only features, fc1: take one of inception"),
        (["--metrics=is@pixels"], "but pixels has only features: take one of"),
        (["--metrics=fd@inception.pools"], "unknown layer of inception 'pools': did you mean 'pool"),
    ],
)
def test_names_are_known_before_any_work(flags, said, images, tiny, capsys, monkeypatch):
    """Breaks if a slip in a name is found out when networks have run, or weights that nothing uses, meant for another
    metric, are passed over in silence."""
    monkeypatch.setattr(measure, "accumulate", lambda *given: pytest.fail("the network ran"))
    assert said in refused(capsys, *command(images, *flags)) and not (images / "out").exists()
    assert said in refused(capsys, "evaluate", f"--workdir={images}/nowhere", *flags)


def test_a_batch_of_no_network_is_said(images, capsys):
    """Breaks if --batch is believed to matter where no network runs."""
    assert cli.main(command(images, "--metrics=nn", "--batch=5")) == 0
    assert "warning: --batch is of networks, of which --metrics=nn takes none." in capsys.readouterr().err


def test_flags_that_do_nothing_are_refused(images, capsys):
    """Breaks if --fake is silently ignored beside --workdir, or a flag of models beside --fake."""
    fake, out, real = f"--fake={images}/fake", f"--out={images}/out", f"--real={images}/real.npz"
    model = ["--num=5", "--seed=0", "--step=0", "--sampler=heun", "--steps=4", "--guidance=2", "--scale=2"]
    for flag in (*model, f"--classifier={images}", "--config.seed=1", "--config.sampling.grid=edm"):
        said = refused(capsys, "evaluate", fake, real, out, flag)
        assert flag.partition("=")[0] in said and "does nothing beside --fake" in said
    assert "--workdir does nothing beside --fake" in refused(capsys, "evaluate", f"--workdir={images}", fake)
    for flag in (out, f"--captions={images}/c.txt"):
        said = refused(capsys, "evaluate", f"--workdir={images}", flag)
        assert f"{flag.partition('=')[0]} does nothing beside --workdir" in said
    assert "--skip_bad does nothing beside --workdir without --real" in refused(
        capsys, "evaluate", f"--workdir={images}", "--skip_bad"
    )
    for flag in (fake, out, f"--workdir={images}", "--num=3"):
        said = refused(capsys, "evaluate", f"--save_statistics={images}/x.npz", real, flag)
        assert f"{flag.partition('=')[0]} does nothing beside --save_statistics" in said
    assert "must end in .npz" in refused(capsys, "evaluate", f"--save_statistics={images}/x", real, "--metrics=fid")
    assert "there is no file" in refused(capsys, "evaluate", fake, f"--real={images}/nosuch.npz", out)


def test_what_needs_no_reference_and_no_folder_asks_for_none(images, tiny, monkeypatch, capsys):
    """Breaks if an Inception Score of a folder demands another one, or a place for its report."""
    monkeypatch.chdir(images)
    assert cli.main(["evaluate", "--fake=fake", "--metrics=is@tiny,vendi@tiny"]) == 0
    found = json.loads((images / "evaluation" / "metrics.json").read_text())["figures"]
    assert found["IS-tiny"]["protocol"] == "a few pixels, float32" and "Vendi-tiny" in found
    assert "fd@tiny compares --fake with --real" in refused(capsys, "evaluate", "--fake=fake", "--metrics=fd@tiny")


def test_what_is_printed_says_as_much_as_there_is(images, tiny, capsys):
    """Breaks if a small figure is rounded to 0.0000, a count looks measured, or n and protocol are not said."""
    assert cli.main(command(images, "--metrics=kid@tiny,nn")) == 0
    said, found = capsys.readouterr().out.splitlines(), document(images)["figures"]
    assert "Raw pixels in [0, 1] on 256 levels, Euclidean; against 50 images of real.npz" in said[3]
    assert said[0].startswith("a few pixels, float32; against 50 images of real.npz")
    assert "  copies                 0, n = 45" in said
    (kid,) = (line for line in said if line.startswith("  KID_full-tiny"))
    value, error = (float(word) for word in kid.split(",")[0].split()[1::2])
    assert value == pytest.approx(found["KID_full-tiny"]["value"], rel=0.1)
    assert error == pytest.approx(found["KID_full-tiny"]["error"], rel=0.1)


def test_images_for_captions_say_so(images, tiny, capsys):
    """Breaks if the list of captions, the reference or how it was cut is not in the figures of text-to-image samples,
    which none can be compared without."""
    listed = [f"a picture of {i // 2}" for i in range(45)]
    (images / "captions.txt").write_text("\n".join(listed))
    argv = ["--metrics=fd@tiny,is@tiny", f"--captions={images}/captions.txt"]
    assert cli.main([*command(images, *argv), "--image_size=6"]) == 0
    found = document(images)["figures"]
    digest = hashlib.sha256("".join(f"{caption}\n" for caption in listed).encode()).hexdigest()
    assert found["FD-tiny"]["protocol"] == (
        "a few pixels, float32; text to image, 45 samples, one for each of 45 captions (23 different) of captions.txt, "
        f"list sha256 {digest}, crop central square, resize 6 px by Lanczos; against 50 images of real.npz, crop none, "
        "resize none; mode tiny"
    )
    assert "against" not in found["IS-tiny"]["protocol"] and digest in found["IS-tiny"]["protocol"]
    (images / "captions.txt").write_text("\n".join(listed[1:]))
    assert "each of the 44 captions of captions.txt, got 45 of fake" in refused(capsys, *command(images, *argv))
    (images / "captions.txt").write_text("\n".join([*listed[1:], "", "x"]))
    assert "line 45 is empty" in refused(capsys, *command(images, *argv))


def test_a_file_name_that_is_no_text_is_measured_and_shown(images, tiny):
    """Breaks if a name that is no UTF-8, which file systems allow, ends in a traceback after all is computed."""
    (images / "fake" / "07.png").rename(os.fsdecode(os.fsencode(images / "fake") + b"/\xff7.png"))
    (images / "fake").rename(os.fsdecode(os.fsencode(images) + b"/fa\xffe"))
    fake = os.fsdecode(os.fsencode(f"--fake={images}/") + b"fa\xffe")
    argv = ["evaluate", f"--real={images}/real.npz", fake, f"--out={images}/out", "--metrics=nn,fd@tiny"]
    assert cli.main(argv) == 0
    page = (images / "out" / "report.html").read_text()
    assert "<h1>fa\\xffe against real.npz" in page
    assert "\\xff7.png" in open_side(fake.removeprefix("--fake=")).files


def test_the_help_names_all_that_can_be_asked_for(capsys):
    """Breaks if a network, the name of its weights, its file or what runs offline is left to be guessed."""
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    said = capsys.readouterr().out
    for name in (*figures.METRICS, *metrics.ALIASES, *metrics.NETWORKS, *metrics.PAIRED, "alex, lpips_alex"):
        assert name in said, name
    assert said.count("offline: found in the package") == 3
    (line,) = (line for line in said.splitlines() if line.startswith("  vgg  "))
    assert line.endswith("; layers features, fc1")


def test_a_distance_of_two_files_of_statistics(images, tiny, capsys):
    """Breaks if statistics of both sides need images again, or the figure does not say what it rests on."""
    x, y = (np.random.default_rng(seed).normal(size=(100, 4)) for seed in (0, 1))
    for name, rows, more in (("a", x, {"n": 100}), ("b", y, {})):
        np.savez(images / f"{name}.npz", mu=rows.mean(0), sigma=np.cov(rows, rowvar=False), **more)
    argv = ["evaluate", f"--real={images}/a.npz", f"--fake={images}/b.npz", f"--out={images}/out"]
    assert cli.main([*argv, "--metrics=fd@tiny"]) == 0
    found = document(images)["figures"]["FD-tiny"]
    assert found["value"] == pytest.approx(frechet(moments(x), moments(y)), rel=1e-6) and found["error"] is None
    assert "statistics in b.npz of an unknown number of images" in found["protocol"]
    assert "against the statistics in a.npz of 100 images" in found["protocol"]
    assert "b.npz has statistics only" in refused(capsys, *argv, "--metrics=vendi@tiny")
