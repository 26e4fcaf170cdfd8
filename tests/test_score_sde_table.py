"""The script of the score-SDE tables: every row fits its config, and a stopped script goes on where it was."""

import json
import shutil
from pathlib import Path

import pytest
import table
from rows import DIGITS, PAPER, Row

from jaxgen.configuration import load
from jaxgen.data import Spec
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.recipes import build

ROOT = Path(__file__).parent.parent
SPECS = {
    "cifar10": Spec((32, 32, 3), 256, 10, (), 50_000),
    "digits": Spec((8, 8, 1), 17, 10, tuple("0123456789"), 1437),
}


@pytest.mark.parametrize("row", [*PAPER, *DIGITS], ids=table.key)
def test_a_row_samples_as_it_says(row):
    """Breaks if the overrides of a row do not fit its config, or cost other evaluations than its name says."""
    config = load(ROOT / "configs" / f"{row.config}.py", row.overrides)
    calls = build(config, SPECS[config.data.dataset], None).evaluations
    name = row.sampler.rpartition(" ")[2]
    if "ODE" in row.sampler:
        assert calls is None
    elif row.table == "digits":
        assert int(name) - 1 <= calls <= int(name)
    elif name != "configured":
        assert calls == {"P1000": 1000, "P2000": 2000, "C2000": 2000, "PC1000": 2000}[name]


def test_the_table_that_is_shown_is_what_the_script_prints():
    """Breaks if the page has figures that no command gives from what was measured."""
    measured = json.loads((ROOT / "experiments" / "score_sde" / "table.json").read_text())
    assert table.by_evaluations(DIGITS, measured) in (ROOT / "experiments" / "score_sde" / "README.md").read_text()


def test_figures_on_other_weights_are_shown_under_their_own_name():
    """Breaks if weights of one's own leave the table empty, or stand in it as if they were the published ones."""
    for name, (metric, _, published) in table.METRICS.items():
        network = metric.partition("@")[2] or "inception_tfgan"
        known, own = (
            {network: Extractor(None, None, "", label=f"Inception{end}")} for end in ("", " (unknown weights)")
        )
        assert table.name_of(name, known) == published
        called = table.name_of(name, own)
        assert called != published and called.endswith("-Inception-tfgan (unknown weights)")
        assert table.text([3.25, 0.5, called]) == f"3.250 ± 0.500 ({called})"
    assert [table.text(figure) for figure in ([3.25, 0.5], [3.25, None], None)] == ["3.250 ± 0.500", "3.250", "-"]


def test_a_stopped_script_goes_on(tmp_path, monkeypatch, capsys):
    """Breaks if a row that was measured is measured again, or one that was not is left out."""
    shutil.copytree(ROOT / "tests", tmp_path / "configs", ignore=lambda folder, names: {*names} - {"tiny.py"})
    monkeypatch.chdir(tmp_path)
    sampler = "sampling.solver=ddim", "sampling.steps=3"
    flow = "sampling.solver=probability_flow", "sampling.solver.rtol=0.1", "sampling.solver.end=0.1"
    rows = [
        Row("digits", "tiny", "DDIM, 3", sampler, {"FDpix": None}),
        Row("digits", "tiny", "ODE", flow, {"FDpix": None, "bits/dim": None}),
    ]
    monkeypatch.setitem(table.SCALES, "digits", table.Scale(rows, 40))
    arguments = "--scale=digits", "--runs=runs", "--out=out", "--num=40"
    measured = []
    measure = table.measure

    def stopping(row, *rest):
        if row is rows[1] and not measured:
            measured.append(row)
            raise KeyboardInterrupt
        return measure(row, *rest)

    monkeypatch.setattr(table, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        table.main(arguments)
    kept = json.loads(Path("runs/rows_40_0.json").read_text())
    assert [*kept] == [table.key(rows[0])] and kept[table.key(rows[0])]["evaluations"] == 3
    monkeypatch.setattr(table, "measure", lambda row, *rest: measured.append(row) or measure(row, *rest))
    table.main(arguments)
    assert measured == [rows[1], rows[1]]
    both = json.loads(Path("out/table.json").read_text())
    assert both[table.key(rows[0])] == kept[table.key(rows[0])]
    assert both[table.key(rows[1])]["evaluations"] > 1 and both[table.key(rows[1])]["figures"]["bits/dim"][1] > 0
    assert "| `tiny` | DDIM |" in capsys.readouterr().out and Path("out/table.png").stat().st_size > 1000
