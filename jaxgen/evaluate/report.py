"""The result of an evaluation as one page to read and one file to compute with."""

import base64
import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxgen.evaluate.result import Result
from jaxgen.io import atomic, images, plots
from jaxgen.io.location import location

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Picture(NamedTuple):
    """A uint8 image [H, W, 1 or 3] or a chart of `jaxgen.io.plots`, and the caption that says what is seen."""

    title: str
    image: "np.ndarray | Figure"
    caption: str = ""


def report(
    folder: str | os.PathLike,
    title: str,
    results: Sequence[Result],
    pictures: Sequence[Picture] = (),
    config: Mapping[str, Any] | None = None,
    summary: str = "",
) -> Path:
    """Write `folder`/report.html, `folder`/metrics.json and every picture as a PNG, each whole or not at all; returns
    the page.

    The page is one file that needs no network: figures with standard errors, sample counts and definitions, the
    pictures, the configuration. metrics.json holds {"title", "summary", "figures": {name: {...}}, "config"} with
    null for what is not finite.
    """
    folder = location(folder)
    names = [result.name for result in results]
    if len(set(names)) < len(names):
        raise ValueError(f"every figure needs a name of its own, got {names}.")
    document = {
        "title": title,
        "summary": summary,
        "figures": {result.name: _plain(result._asdict()) for result in results},
        "config": _plain(config or {}),
    }
    atomic.write(folder / "metrics.json", json.dumps(document, indent=2, allow_nan=False).encode() + b"\n")
    for title_of, image, _ in pictures:
        pixels = image if isinstance(image, np.ndarray) else plots.pixels(image)
        images.save(folder / f"{title_of.lower().replace(' ', '_')}.png", pixels)
    page = PAGE.format(
        title=html.escape(title),
        summary=f"<p class=summary>{html.escape(summary)}</p>" if summary else "",
        rows="\n".join(map(_group, dict.fromkeys(r.protocol for r in results), repeat(results))),
        pictures="\n".join(map(_figure, pictures)),
        config=html.escape(json.dumps(document["config"], indent=2)),
        style=STYLE,
    )
    return atomic.write(folder / "report.html", page.encode())


def _plain(value: Any) -> Any:
    """`value` as JSON has it: numbers, strings, lists, dicts; null where not finite, text for anything else."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__array__"):
        return _plain(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _group(protocol: str, results: Sequence[Result]) -> str:
    heading = f"<tr><th class=protocol colspan=5 scope=rowgroup>{html.escape(protocol)}</th></tr>" if protocol else ""
    return f"<tbody>{heading}{''.join(_row(r) for r in results if r.protocol == protocol)}</tbody>"


def _row(result: Result) -> str:
    error = "" if result.error is None else f"± {_decimals(result.error)}"
    unit = f" <span class=unit>{html.escape(result.unit)}</span>" if result.unit else ""
    return (
        f"<tr><th scope=row>{html.escape(result.name.replace('_', ' '))}</th>"
        f"<td class=number>{_decimals(result.value)}</td><td class=error>{error}{unit}</td>"
        f"<td class=number>{result.n:,}</td><td>{html.escape(result.definition)}</td></tr>"
    )


def _decimals(value: float) -> str:
    """Three decimals, four significant digits where that is more; a count is aligned with the integer parts."""
    if not math.isfinite(value):
        return "not finite"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}<span class=blank>.000</span>"
    return f"{value:.3f}" if value == 0 or abs(value) >= 5e-4 else f"{value:.3g}"


def _figure(picture: Picture) -> str:
    if isinstance(picture.image, np.ndarray):
        data = base64.b64encode(images.png(picture.image)).decode()
        alt, width = html.escape(picture.title, quote=True), picture.image.shape[1]
        drawn = f'<img src="data:image/png;base64,{data}" alt="{alt}" width="{width}">'
    else:
        drawn = plots.svg(picture.image)
    caption = f"<b>{html.escape(picture.title)}</b> {html.escape(picture.caption)}"
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><h1>{title}</h1>{summary}</header>
<section class=figures>
<table>
<thead><tr><th scope=col>Figure</th><th scope=col class=number>Value</th><th scope=col class=error></th>
<th scope=col class=number>n</th><th scope=col>Definition</th></tr></thead>
{rows}
</table>
<p class=note>± is one standard error; n counts the images a figure rests on.</p>
</section>
<section class=pictures>
{pictures}
</section>
<details><summary>Configuration</summary><pre>{config}</pre></details>
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --quiet: #656d76; --rule: #d8dee4; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe5ec; --quiet: #929aa4; --rule: #343b44; --page: #15181c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 3rem 1.5rem; }
h1 { font-size: 1.6rem; font-weight: 600; line-height: 1.2; margin: 0 0 .4rem; }
.summary, .note, .unit, figcaption { color: var(--quiet); }
.summary { margin: 0; max-width: 46rem; }
section, details { margin-top: 2.5rem; }
.figures { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .45rem 1.2rem .45rem 0; text-align: left; vertical-align: baseline; }
th, td { border-bottom: 1px solid var(--rule); }
thead th { font-size: .8rem; font-weight: 500; color: var(--quiet); }
tbody th { font-weight: 500; white-space: nowrap; }
tbody th.protocol { font-size: .85rem; white-space: normal; padding-top: 1.4rem; }
tbody td:last-child { font-size: .85rem; color: var(--quiet); padding-right: 0; min-width: 16rem; }
.number { text-align: right; white-space: nowrap; }
td.number, td.error { font-variant-numeric: tabular-nums; }
.number:has(+ .error) { padding-right: .5rem; }
td.error { white-space: nowrap; color: var(--quiet); }
.blank { visibility: hidden; }
.note { font-size: .8rem; margin: .6rem 0 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 2.5rem 2rem; }
figure { margin: 0; }
figure img { max-width: 100%; height: auto; display: block; image-rendering: pixelated; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .85rem; margin-top: .6rem; }
figcaption b { color: var(--ink); font-weight: 600; display: block; }
summary { cursor: pointer; font-weight: 500; }
pre { font: .8rem/1.5 ui-monospace, monospace; overflow-x: auto; }
"""
