"""If these fail, `jaxgen evaluate --metrics=fid,is` prints figures that do not compare with published ones."""

import hashlib
import json
from pathlib import Path

import hashed
import numpy as np
import pytest
import torch_files

from jaxgen import cli

FID, IS = "FD-Inception (unknown weights)", "IS-Inception (unknown weights)"  # as these weights are not published
TINY = Path(__file__).parent.parent / "tiny.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The network in a file as it is published, with other numbers."""
    state = {name: array for name, array in hashed.inception().items() if array.ndim}
    return torch_files.saved(tmp_path_factory.mktemp("weights") / "inception.pth", state)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train = ["train", f"--config={TINY}", f"--workdir={folder}", "--config.train.steps=1"]
    assert cli.main([*train, "--config.data.split=train[:16]"]) == 0
    return folder


def test_from_the_files_to_the_figures(golden, run, weights, tmp_path, capsys):
    """Breaks if the command resizes, scales or averages otherwise than the reference did, takes statistics of another
    network for its own, or sees images again that it has seen."""
    data = golden("metrics/inception_v3")
    images, features = data["s32/images"], data["s32/2048_f64"].astype(np.float64)
    np.savez(tmp_path / "real.npz", images)
    stats, network = run / "eval" / "stats.npz", f"--weights=inception={weights}"
    save = ["evaluate", f"--real={tmp_path}/real.npz", network, "--metrics=fid", f"--save_statistics={stats}"]
    assert cli.main(save) == 0
    with np.load(stats) as file:
        np.testing.assert_allclose(file["mu"], features.mean(0), atol=1e-5 * features.max())
        np.testing.assert_allclose(np.trace(file["sigma"]), features.var(0, ddof=1).sum(), rtol=1e-4)
        assert file["n"] == len(images) and "Inception-v3 2015-12-05, input tf1" in str(file["features"])
        np.savez(tmp_path / "others.npz", **dict(file) | {"features": "others"})
    assert [path.name for path in stats.parent.iterdir()] == ["stats.npz"]

    command = ["evaluate", f"--workdir={run}", network, "--num=2"]
    assert cli.main([*command, "--metrics=fid,is", f"--real={stats}"]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((run / "eval" / "1" / "metrics.json").read_text())["figures"]
    assert {name: figure["n"] for name, figure in figures.items()} == {FID: 2, IS: 2}
    assert f"  {FID} {figures[FID]['value']:.3f}" in printed and figures[FID]["value"] > 0
    assert figures[FID]["protocol"].endswith(f"float32; against the statistics in stats.npz of {len(images)} images")
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == figures[IS]["weights"]
    assert not list((run / "eval" / "1").glob("*.npz"))
    assert cli.main([*command, "--metrics=fid", f"--real={tmp_path}/others.npz"]) == 2
    assert "are of others, but these are Inception-v3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics=fid"], "pass --weights inception=PATH of https://github.com/mseitzer/pytorch-fid"),
        (["--metrics=is", "--weights=incepton=x"], "unknown network 'incepton': did you mean 'inception'?"),
        (["--metrics=is", "--weights=x.pth"], "--weights must be NETWORK=PATH"),
        (["--metrics=fd@incepton"], "unknown network 'incepton'"),
        (["--metrics=fdd@inception"], "unknown metric 'fdd'"),
        (["--metrics=is@pixels"], "needs the logits of a network"),
        (["--metrics=prdc"], "prdc needs at least 6 images of each side, got 2 of samples of step 1"),
        (["--metrics=fvd", "--weights=i3d={weights}"], "I3D"),
        (["--metrics=cmmd"], "pass --weights clip=PATH of OpenAI's ViT-L-14-336px.pt"),
        (["--metrics=is", "--weights=inception=pyproject.toml"], "begins otherwise"),
        (["--metrics=is", "--weights=inception=nowhere.pth"], "nowhere.pth"),
        (["--metrics=fid", "--weights=inception={weights}", "--real=nowhere.npz"], "nowhere.npz"),
        (["--metrics=bpd", "--real=stats.npz"], "--real is what samples are compared with"),
        (["--metrics=ssim"], "ssim compares images one to one, which samples are not"),
    ],
)
def test_missing_or_wrong_files_end_in_one_sentence(run, weights, capsys, flags, message):
    """Before any sample is drawn: fifty thousand of them take hours."""
    argv = ["evaluate", f"--workdir={run}", "--num=2", *(flag.format(weights=weights) for flag in flags)]
    capsys.readouterr()
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert message in err and len(err.splitlines()) == 1 and not out
