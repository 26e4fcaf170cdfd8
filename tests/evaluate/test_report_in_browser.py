"""If these fail, a report opens blank, asks for something from elsewhere, or does not fit a phone."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.pictures.picture import Picture, Sheet, Table, tiles
from jaxgen.evaluate.result import Result
from jaxgen.io import plots

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
NOISE = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with one picture of each kind."""
    sheet = Sheet(tiles(list(NOISE)).reshape(1, 6, 48, 48, 3), [["a_long_name_of_a_file" * 3] * 6], ["sample"] * 6)
    pictures = [
        Picture("Samples", NOISE[0].repeat(40, 0).repeat(40, 1), "", "Images"),
        Picture("Nearest", sheet, "", "Copies"),
        Picture("Classes", Table([f"column {i}" for i in range(9)], ["cats"], [[0.5] * 9]), "", "Classes"),
        Picture("Scatter", plots.scatter({"a": NOISE[0, 0, :, :2], "b": NOISE[1, 0, :, :2]}, "x", "y"), "", "Features"),
    ]
    found = Result("FID", 3.14, "distance " * 20, 50_000, 0.1, protocol="network " * 20, weights="0123456789abcdef" * 4)
    return report(tmp_path_factory.mktemp("report"), "A model", [found], pictures, {"rate": 0.1}, "In a few words.")


def browse(path, *flags):
    """What a browser of its own says of the page, and prints."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    profile = f"--user-data-dir={path.parent / 'profile'}"
    done = subprocess.run([*command, profile, *flags, path.as_uri()], capture_output=True, text=True, timeout=120)
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout


def test_the_page_is_seen_without_errors(page, tmp_path):
    """The screenshot has the image in its colours, ink on paper, and the console is silent."""
    shot = tmp_path / "shot.png"
    errors, _ = browse(page, f"--screenshot={shot}", "--window-size=1200,1800")
    assert errors == []
    seen = np.asarray(Image.open(shot).convert("RGB"))
    assert seen.shape == (1800, 1200, 3)
    colours, given = (image.reshape(-1, 3).astype(int) @ [1 << 16, 1 << 8, 1] for image in (seen, NOISE[0]))
    assert np.isin(given, colours).all()
    paper = seen[0, 0].astype(int)
    inked = (np.abs(seen.astype(int) - paper).sum(-1) > 100).mean(1) > 0.005
    assert inked.mean() > 0.4


def test_what_a_page_asks_for_from_elsewhere_is_refused_and_told(page, tmp_path):
    """The silence above would mean nothing if the console were not heard, or the page allowed to load."""
    other = tmp_path / "other.html"
    other.write_text(
        page.read_text().replace("<main>", '<main><img src="http://127.0.0.1:9/x.png"><script>a()</script>')
    )
    errors, _ = browse(other, "--dump-dom")
    assert sum("Content Security Policy" in line for line in errors) == 2


def test_the_page_fits_a_phone(page, tmp_path):
    """Long names, checksums or tables that push the page wider than the screen."""
    other = tmp_path / "phone.html"
    measure = "<script>document.title = [document.documentElement.scrollWidth, innerWidth]</script></body>"
    free = re.sub(r"<meta http-equiv=.*?>", "", page.read_text()).replace("</body>", measure)
    other.write_text(free.replace("<main>", '<main style="max-width: 360px">'))
    _, document = browse(other, "--dump-dom", "--window-size=500,900")
    width, screen = map(int, re.search(r"<title>(\d+),(\d+)</title>", document).groups())
    assert screen <= 500 and width <= screen
