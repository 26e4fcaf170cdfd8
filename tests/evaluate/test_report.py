"""If these fail, a report is unreadable offline, says something else than its metrics, or can be left half-written."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.pictures.picture import Picture, Sheet, Table, tiles
from jaxgen.evaluate.result import Result
from jaxgen.io import plots

RESULTS = [
    Result("FDpix", 0.0683, "Fréchet distance <raw>", 1000, 0.0021, protocol="A"),
    Result("copies", 0, "exact copies", 1000, protocol="A"),
    Result("KID", 1.23e-3, "cubic", 50, 9e-5, protocol="B", layer="pool", weights="67af", dtype="bfloat16"),
    Result("bits_per_dim", float("nan"), "diverged", 360, unit="bits"),
]
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def written(tmp_path):
    chart = plots.loss_curve({"train": (np.arange(200), np.linspace(2, 0.1, 200))})
    config = {"sde": {"name": "edm"}, "rate": np.float32(0.5), "sizes": (1, 2), "note": "</pre><script>"}
    path = report(
        tmp_path / "eval",
        "Digits & more",
        RESULTS,
        [
            Picture("Samples", IMAGE, "64 of them", "Images"),
            Picture(
                "Sheet", Sheet(tiles([IMAGE, IMAGE])[None], [["<one>", "two"]], ("sample", "nearest")), "", "Copies"
            ),
            Picture("Classes", Table(("n", "recall"), ("cats", "dogs"), [(3, 0.25), (4, None)]), "", "Classes"),
            Picture("Loss", chart),
        ],
        config,
        "1,000 samples",
    )
    return path.read_text(), json.loads((path.parent / "metrics.json").read_text())


def test_the_page_is_self_contained(written):
    """No file, no network: nothing to load but data URIs, and the picture inside is exactly the one given."""
    page, _ = written
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert sources and all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page and "url(http" not in page and "@import" not in page
    embedded = Image.open(io.BytesIO(base64.b64decode(sources[1].split(",")[1])))
    np.testing.assert_array_equal(np.asarray(embedded), IMAGE)


def test_charts_take_the_ink_of_the_page(written):
    """A chart drawn in black would vanish in dark mode."""
    page, _ = written
    chart = page[page.index("<svg") : page.index("</svg>")]
    assert "currentColor" in chart and plots.INK not in chart and "#000000" not in chart


def test_text_is_escaped_and_numbers_are_complete(written):
    """Markup in a definition or a configuration must be shown, and a figure stands with error, n and protocol."""
    page, _ = written
    assert "<script>" not in page and "&lt;raw&gt;" in page and "Digits &amp; more" in page
    row = re.search(r"<tr><th scope=row>FDpix.*?</tr>", page).group()
    assert "0.068" in row and "± 0.002" in row and "1,000" in row
    assert "not finite" in re.search(r"<tr><th scope=row>bits per dim.*?</tr>", page).group()
    assert "&lt;one&gt;" in page


def test_a_figure_says_all_that_it_was_taken_in(written):
    """An error rounded to nothing, or a figure without its layer, weights and float type, cannot be compared."""
    page, metrics = written
    group = next(part for part in page.split("<tbody>") if ">KID<" in part)
    assert "0.00123" in group and "± 0.000090" in group and "FDpix" not in group
    assert "layer pool" in group and "sha256 67af" in group and "computed in bfloat16" in group
    kid = metrics["figures"]["KID"]
    assert kid["error"] == 9e-5 and (kid["layer"], kid["weights"], kid["dtype"]) == (
        "pool",
        "67af",
        "bfloat16",
    )


def test_pictures_stand_in_sections_that_are_linked(written):
    """A long page without its sections is not read to the end."""
    page, _ = written
    places = [page.index(f"<section id={name}>") for name in ("images", "copies", "classes", "model")]
    assert places == sorted(places) and all(f'href="#{name}"' in page for name in ("images", "copies", "model"))


def test_tables_are_on_the_page_and_in_the_file(written):
    """A table that only people can read, or that shows a missing number as one."""
    page, metrics = written
    assert metrics["tables"] == {"Classes": {"cats": {"n": 3, "recall": 0.25}, "dogs": {"n": 4, "recall": None}}}
    row = re.search(r"<tr><th scope=row>dogs.*?</tr>", page).group()
    assert re.findall(r"<td class=number>(.*?)</td>", row) == ["4", "–"]


def test_metrics_json_is_strict_and_complete(written):
    """Other programs read it: full precision, null for NaN, the configuration as it was."""
    _, metrics = written
    assert metrics["figures"]["FDpix"]["value"] == 0.0683 and metrics["figures"]["FDpix"]["n"] == 1000
    assert metrics["figures"]["bits_per_dim"]["value"] is None
    assert metrics["config"]["rate"] == 0.5 and metrics["config"]["sizes"] == [1, 2]


def test_every_picture_is_a_file_of_its_own(tmp_path, written):
    """Titles with a slash would leave the folder, two alike would be written over each other."""
    assert (tmp_path / "eval" / "sheet.png").exists() and not (tmp_path / "eval" / "classes.png").exists()
    report(tmp_path, "x", [], [Picture("../codes/0 over all", IMAGE)])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "codes_0_over_all.png")), IMAGE)
    with pytest.raises(ValueError, match="picture needs a name"):
        report(tmp_path, "x", [], [Picture("Loss 1", IMAGE), Picture("loss/1", IMAGE)])


def test_two_figures_of_one_name_are_refused(tmp_path):
    """One of them would be lost in metrics.json."""
    with pytest.raises(ValueError, match="name of its own"):
        report(tmp_path, "x", [RESULTS[0], RESULTS[0]])
    assert not list(tmp_path.iterdir())
