"""If these fail, a report is unreadable offline, says something else than its metrics, or can be left half-written."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxgen.evaluate.report import Picture, report
from jaxgen.evaluate.result import Result
from jaxgen.io import plots

RESULTS = [
    Result("FDpix", 0.0683, "Fréchet distance <raw>", 1000, 0.0021, protocol="A"),
    Result("copies", 0, "exact copies", 1000, protocol="A"),
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
        [Picture("Samples", IMAGE, "64 of them"), Picture("Loss", chart)],
        config,
        "1,000 samples",
    )
    return path.read_text(), json.loads((path.parent / "metrics.json").read_text())


def test_the_page_is_self_contained(written):
    """No file, no network: nothing to load but data URIs, and the picture inside is exactly the one given."""
    page, _ = written
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(http" not in page and "@import" not in page
    embedded = Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1])))
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


def test_metrics_json_is_strict_and_complete(written):
    """Other programs read it: full precision, null for NaN, the configuration as it was."""
    _, metrics = written
    assert metrics["figures"]["FDpix"]["value"] == 0.0683 and metrics["figures"]["FDpix"]["n"] == 1000
    assert metrics["figures"]["bits_per_dim"]["value"] is None
    assert metrics["config"]["rate"] == 0.5 and metrics["config"]["sizes"] == [1, 2]


def test_two_figures_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name of its own"):
        report(tmp_path, "x", [RESULTS[0], RESULTS[0]])
    assert not list(tmp_path.iterdir())
