"""If these fail, people's answers are lost, are put down to the wrong model, or the page tells which model is which."""

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgen import cli
from jaxgen.evaluate.prompts import sheet
from jaxgen.evaluate.prompts.lists import Prompt
from jaxgen.evaluate.prompts.runs import Manifest, generate
from jaxgen.evaluate.prompts.sheet import write_sheet

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PROMPTS = tuple(Prompt(f"<b>prompt</b> {i} </script>", "even" if i % 2 == 0 else "odd") for i in range(6))
SYSTEMS = {"dim-model": 60, "bright-model": 190}


def flat(level):
    def fn(prompts, keys):
        return np.full((len(prompts), 8, 8, 3), level, np.uint8)

    return fn


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two models: the images of one are dim, those of the other bright."""
    root = tmp_path_factory.mktemp("runs")
    manifests = [Manifest(name, PROMPTS, (5, 9)) for name in SYSTEMS]
    return [generate(root / m.system, m, flat(SYSTEMS[m.system])) for m in manifests]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return write_sheet(tmp_path_factory.mktemp("sheet") / "sheet.html", *runs, jax.random.key(1))


def items(page):
    found = re.findall(r'<script type="application/json" class="item">(.*?)</script>', page.read_text(), re.DOTALL)
    return [json.loads(item) for item in found]


def test_sides_are_balanced_and_pairs_are_in_another_order(page, runs, tmp_path):
    """Breaks if a model is mostly on one side, pairs come by category, an image is not the file, or the key is
    ignored."""
    found = items(page)
    assert sorted(item["prompt"] for item in found) == [prompt.text for prompt in PROMPTS]
    assert [item["prompt"] for item in found] != [prompt.text for prompt in PROMPTS]
    assert sorted(item["left"] for item in found) == ["bright-model"] * 3 + ["dim-model"] * 3
    assert all({item["left"], item["right"]} == {*SYSTEMS} and item["seed"] == 5 for item in found)
    again = write_sheet(tmp_path / "again.html", *runs, jax.random.key(1))
    other = write_sheet(tmp_path / "other.html", *runs, jax.random.key(2), rows=range(12))
    assert again.read_bytes() == page.read_bytes()
    assert len(items(other)) == 12 and {item["seed"] for item in items(other)} == {5, 9}
    assert re.search('"sheet": "(.*?)"', other.read_text())[1] != re.search('"sheet": "(.*?)"', page.read_text())[1]


def test_the_page_needs_no_network(page):
    """Breaks if the sheet that a rater is sent lacks an image, or tells someone that it was opened."""
    text = page.read_text()
    assert not re.search(r"https?://|//cdn|@import|url\(", text) and text.count("data:image/png;base64,") == 12


RATER = """
<script>
"use strict";
const errors = [], press = key => document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const tell = told => fetch("/told", {method: "POST", body: JSON.stringify(told)}).then(() => location.reload());
window.addEventListener("error", event => errors.push(event.message));
window.addEventListener("unhandledrejection", event => errors.push(String(event.reason)));
async function brightness(id) {
  const image = at(id), canvas = document.createElement("canvas");
  await image.decode();
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.getContext("2d").getImageData(4, 4, 1, 1).data[0];
}
async function rate(count, name, half) {
  const start = at("start").textContent;
  at("start").click();                                   // no name yet: stays
  const stays = !at("intro").hidden && !at("rater").value, offered = at("rater").value;
  at("rater").value = name;
  at("rater").dispatchEvent(new Event("input"));
  const invited = at("start").textContent;
  at("start").click();
  const seen = [], shown = [];
  for (let i = 0; i < count; i++) {
    seen.push(at("prompt").textContent);
    shown.push(document.getElementById("rating").innerText + document.title);
    const left = await brightness("left") > await brightness("right");
    if (i == 0) { press(left ? "ArrowRight" : "ArrowLeft"); press("Backspace"); }  // a slip, taken back
    press(left ? "ArrowLeft" : "ArrowRight");
    if (i == 1) at("questions").children[1].querySelectorAll("button")[1].click();
    else press("ArrowDown");
  }
  if (half) press("ArrowLeft");  // the first question of the next pair, and no more
  const parts = [], files = [];
  URL.createObjectURL = blob => { parts.push(blob); return "#"; };
  HTMLAnchorElement.prototype.click = function () { files.push(this.download); };
  [...document.querySelectorAll(".download")].find(button => button.offsetParent).click();
  const exported = JSON.parse(await parts[0].text());
  const small = at("left").classList.contains("small");
  const ended = !at("end").hidden, file = files[0];
  tell({start, offered, invited, stays, seen, shown, exported, file, small, errors, ended});
}
rate(...VISIT).catch(error => tell({errors: [String(error)]}));
</script>
</body>
"""


@contextmanager
def serving(pages):
    """(address, what the visitors told): the pages are handed out one after the other."""
    waiting, told = list(pages), SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/" and waiting
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(waiting.pop(0).encode() if found else b"")

        def do_POST(self):
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *text):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()


def visits(page, folder, asked):
    """What raters find and send who answer so many pairs in each visit [count, name, half]: always the brighter image,
    and no preference in quality. `half`: of the next pair the first question, too."""
    text = page.read_text()
    with serving(text.replace("</body>", RATER.replace("VISIT", json.dumps(visit))) for visit in asked) as (
        address,
        told,
    ):
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", address]
        browser = subprocess.Popen([BROWSER, *flags], stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            found = [told.get(timeout=100) for _ in asked]
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
    assert [visit["errors"] for visit in found] == [[]] * len(asked)
    return found


@pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome")
def test_a_rater_stops_goes_on_and_sends_what_was_answered(page, tmp_path, capsys):
    """Breaks if answers are lost between two visits, an answer taken back stays, a side is put down to the wrong model,
    the page shows which model is which, or the file is not what `jaxgen ratings` reads."""
    asked = [[2, "Ada L.", False], [1, "Bea", True], [4, "Ada L.", False]]
    first, other, second = visits(page, tmp_path / "profile", asked)
    order = [item["prompt"] for item in items(page)]
    assert first["start"] == "Start" and first["stays"] and not first["ended"] and first["small"]
    assert second["invited"] == "Go on (2 of 6 are rated)" and second["ended"]
    assert first["seen"] + second["seen"] == order
    assert not any(name in text for text in first["shown"] + second["shown"] for name in SYSTEMS)
    assert len(first["exported"]["ratings"]) == 2
    exported = second["exported"]
    assert re.fullmatch(r"ratings-[0-9a-f]{12}-Ada_L\.json", second["file"])
    assert exported["rater"] == "Ada L." and exported["systems"] == [*SYSTEMS]
    for item, rating in zip(items(page), exported["ratings"], strict=True):
        side = "left" if item.pop("left") == "bright-model" else "right"
        del item["right"], item["images"]
        assert rating["alignment"] == side and rating["quality"] == "equal" and item.items() <= rating.items()
    path = tmp_path / "ratings.json"
    path.write_text(json.dumps(exported))
    assert cli.main(["ratings", str(path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "6", "0", "0", "6"] in [row[:5] for row in rows]
    assert ["all", "6", "0", "6", "0"] in [row[:5] for row in rows]
    # a second person at the same computer, who leaves in the middle of a pair
    assert other["start"] == "Go on (2 of 6 are rated)" and other["offered"] == "Ada L." and other["invited"] == "Start"
    assert other["seen"] == order[:1] and other["exported"]["rater"] == "Bea"
    whole, half = other["exported"]["ratings"]
    assert (whole["prompt"], half["prompt"]) == tuple(order[:2]) and whole["quality"] == "equal"
    assert half["alignment"] == "left" and "quality" not in half


def test_runs_that_cannot_be_compared_are_refused(runs, tmp_path, monkeypatch):
    """Breaks if images of different prompts stand side by side, or a page is written that no browser opens."""
    dim, bright = runs
    path = tmp_path / "sheet.html"
    other = generate(tmp_path / "other", Manifest("other", PROMPTS[:5], (5, 9)), flat(3))
    with pytest.raises(ValueError, match="same prompts and seeds"):
        write_sheet(path, dim, other, jax.random.key(0))
    with pytest.raises(ValueError, match="both runs are of 'dim-model'"):
        write_sheet(path, dim, dim, jax.random.key(0))
    for rows in ([12], [-1], [0, 0], []):
        with pytest.raises(ValueError, match=r"different ones of 0 \.\. 11"):
            write_sheet(path, dim, bright, jax.random.key(0), rows=rows)
    monkeypatch.setattr(sheet, "LARGEST", 100)
    with pytest.raises(ValueError, match="write several sheets"):
        write_sheet(path, dim, bright, jax.random.key(0))
    assert not path.exists() and Image.open(dim.path(0)).size == (8, 8)
