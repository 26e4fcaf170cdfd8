"""If these fail, `jaxgen evaluate --metrics=fid,is` prints figures that do not compare with published ones."""

import hashlib
import json
from pathlib import Path

import hashed
import numpy as np
import pytest
import torch_files

from jaxgen import cli
from jaxgen.evaluate.features import Extractor, extract
from jaxgen.evaluate.frechet import covariance, frechet, moments
from jaxgen.evaluate.inception import fid, measure, open_extractor, score
from jaxgen.evaluate.inception_score import inception_score

TINY = Path(__file__).parent.parent / "tiny.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The network in a file as it is published, with other numbers."""
    arrays = {name: array for name, array in hashed.inception().items() if array.ndim}

    def tensor(name: str, array: np.ndarray) -> bytes:
        stored = torch_files.storage("Float", name, array.size)
        strides = [step // array.itemsize for step in array.strides]
        return torch_files.text(name) + torch_files.tensor(stored, 0, array.shape, strides)

    content = torch_files.program(b"}(" + b"".join(tensor(*item) for item in arrays.items()) + b"u")
    return torch_files.zipped(tmp_path_factory.mktemp("weights") / "inception.pth", content, arrays)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train = ["train", f"--config={TINY}", f"--workdir={folder}", "--config.train.steps=1"]
    assert cli.main([*train, "--config.data.split=train[:16]"]) == 0
    return folder


def test_a_published_file_gives_the_features_and_scores_of_the_reference(golden, weights):
    """From the file to the figure: names, folding, resizing, moments and probabilities."""
    data = golden("inception_v3")
    network = open_extractor(weights)
    found, scores = measure(network, [data["s32/images"]], print)
    expected = data["s32/2048_f64"].astype(np.float64)
    np.testing.assert_allclose(found.shift + found.s / found.n, expected.mean(0), atol=1e-5 * expected.max())
    np.testing.assert_allclose(np.trace(covariance(found)), np.trace(covariance(moments(expected))), rtol=1e-4)
    result = score(network, scores)
    expected = inception_score(data["s32/logits_unbiased_f64"]).mean
    assert result.value - 1 == pytest.approx(expected - 1, rel=1e-4) and result.n == 2
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in result.protocol


def test_the_input_of_score_sde_is_another_one(golden, weights):
    """(x - 127.5) / 127.5 moves features by half a percent: small enough to go unnoticed, large beside an FID of 2."""
    data = golden("inception_v3")
    (found,) = extract(open_extractor(weights, "tfgan"), [data["s32/images"]])
    theirs, ours = found.logits, data["s32/logits_unbiased_f64"]
    assert 1e-3 < np.abs(ours - theirs).max() / np.abs(ours).max() < 2e-2


def test_fid_is_the_frechet_distance_of_what_it_names():
    """A figure that does not say against what, of how many images and which network compares with nothing."""
    x, y = np.random.default_rng(0).normal(size=(2, 30, 4))
    result = fid(Extractor(None, None, "some network"), moments(x), moments(2 * y), "the training images")
    assert result.value == frechet(moments(x), moments(2 * y)) and result.n == 30
    assert "against the training images" in result.definition and result.protocol == "some network"


def test_evaluate_measures_the_training_data_once_and_streams_the_samples(run, weights, capsys):
    """Breaks if the command needs more than the weights, or takes statistics of another network for its own."""
    command = ["evaluate", f"--workdir={run}", f"--inception={weights}", "--num=5", "--config.sampling.batch_size=3"]
    assert cli.main([*command, "--metrics=fid,is"]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((run / "eval" / "1" / "metrics.json").read_text())["figures"]
    assert {name: figure["n"] for name, figure in figures.items()} == {"FID": 5, "IS": 5}
    assert "the 16 images of train[:16]" in figures["FID"]["definition"] and figures["FID"]["value"] > 0
    assert f"{'FID':<22}{figures['FID']['value']:.4f}" in printed and "IS" in printed
    (kept,) = (run / "eval").glob("inception_*.npz")
    with np.load(kept) as file:
        assert file["mu"].shape == (2048,) and file["n"] == 16
        np.savez(kept, **dict(file) | {"features": "others"})
    assert cli.main([*command, "--metrics=fid"]) == 2
    assert "are of others, but these are Inception-v3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics=fid"], "pt_inception-2015-12-05-6726825d.pth and pass --inception"),
        (["--metrics=is", "--inception={weights}", "--inception-input=tf2"], "must be tf1 or tfgan, got 'tf2'"),
        (["--metrics=bpd", "--inception-input=tf2"], "must be tf1 or tfgan, got 'tf2'"),
        (["--metrics=bpd,nn"], "needs at least 40 samples, got --num=2"),
        (["--metrics=is", "--inception=pyproject.toml"], "begins otherwise"),
        (["--metrics=is", "--inception=nowhere.pth"], "nowhere.pth"),
        (["--metrics=fid", "--inception={weights}", "--reference=nowhere.npz"], "nowhere.npz"),
        (["--metrics=is", "--reference=stats.npz"], "--reference goes with --metrics=fid"),
    ],
)
def test_missing_or_wrong_files_end_in_one_sentence(run, weights, capsys, flags, message):
    """Before any sample is drawn: fifty thousand of them take hours."""
    argv = ["evaluate", f"--workdir={run}", "--num=2", *(flag.format(weights=weights) for flag in flags)]
    capsys.readouterr()
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert message in err and len(err.splitlines()) == 1 and not out
