"""The result of an evaluation as one page to read and one file to compute with."""

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.evaluate.page import markup
from jaxgen.evaluate.page.template import PAGE, STYLE
from jaxgen.evaluate.pictures.picture import Picture, Sheet, Table
from jaxgen.evaluate.result import Result
from jaxgen.io import atomic, images, plots
from jaxgen.io.location import location


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

    The page is one file that needs no network and may not use it: figures with standard errors, sample counts and
    definitions under what they were taken in, the pictures by section, the configuration. metrics.json holds {"title",
    "summary", "figures": {name: {...}}, "tables": {title: {row: {column: number}}}, "config"} with null for what is not
    finite. Raises ValueError where two figures or two pictures have one name.
    """
    folder = location(folder)
    for kind, names in (
        ("figure", [result.name for result in results]),
        ("picture", [markup.slug(picture.title) for picture in pictures]),
    ):
        if len(set(names)) < len(names):
            raise ValueError(f"every {kind} needs a name of its own, got {names}.")
    tables = {picture.title: picture.image for picture in pictures if isinstance(picture.image, Table)}
    document = {
        "title": title,
        "summary": summary,
        "figures": {result.name: _plain(result._asdict()) for result in results},
        "tables": {name: _plain(cells(table)) for name, table in tables.items()},
        "config": _plain(config or {}),
    }
    atomic.write(folder / "metrics.json", json.dumps(document, indent=2, allow_nan=False).encode() + b"\n")
    for picture in pictures:
        if picture.image is not None and not isinstance(picture.image, Table):
            images.save(folder / f"{markup.slug(picture.title)}.png", pixels(picture.image))
    return atomic.write(folder / "report.html", page(title, results, pictures, document["config"], summary).encode())


def page(title: str, results: Sequence[Result], pictures: Sequence[Picture], config: Any, summary: str) -> str:
    """The HTML document."""
    links = "".join(f'<a href="#{markup.slug(name)}">{html.escape(name)}</a>' for name in markup.sections(pictures))
    settings = html.escape(json.dumps(config, indent=2))
    spread = ["± is one standard error"] if any(r.error is not None for r in results) else []
    return PAGE.format(
        title=html.escape(title),
        summary=f"<p class=summary>{html.escape(summary)}</p>" if summary else "",
        contents=f"<nav>{links}</nav>" if links else "",
        figures=markup.figures(results),
        note="; ".join([*spread, "n counts the images a figure rests on."]),
        pictures=markup.pictures(pictures),
        config=f"<details><summary>Configuration</summary><pre>{settings}</pre></details>" if config else "",
        style=STYLE,
    )


def pixels(image: Any) -> np.ndarray:
    """What is shown in a picture as uint8 [H, W, 1 or 3]."""
    match image:
        case np.ndarray():
            return image
        case Sheet():
            return image.image
        case _:
            return plots.pixels(image)


def cells(table: Table) -> dict[str, dict[str, float | None]]:
    return {
        row: dict(zip(table.columns, values, strict=True)) for row, values in zip(table.rows, table.values, strict=True)
    }


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
