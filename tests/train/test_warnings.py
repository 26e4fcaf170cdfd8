"""A collapse is said to the user, once."""

from types import SimpleNamespace

import numpy as np

from jaxgen.commands.train import hooks


def test_a_collapse_is_said_once_with_its_step(tmp_path, capsys):
    """Breaks if a collapsed run goes on in silence, or fills its log with one sentence."""
    run = SimpleNamespace(
        root=tmp_path, metrics=tmp_path / "metrics.jsonl", config=SimpleNamespace(train=SimpleNamespace(steps=9))
    )
    saved = SimpleNamespace(check=lambda: None)
    with hooks(run, saved, None, 0, None) as on:
        for step, spread in ((1, 0.9), (2, 0.001), (3, np.nan), (4, 0.0005)):
            on.log(step, {"loss": 1.0, "fake_std": spread}, 100.0)
    said = [line for line in capsys.readouterr().err.splitlines() if "fake_std" in line]
    assert len(said) == 1 and said[0].startswith(
        "jaxgen: step 2: fake_std is 0.001: the generator makes nearly the same"
    )
