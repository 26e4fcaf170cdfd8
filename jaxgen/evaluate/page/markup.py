"""Figures and pictures as HTML."""

import base64
import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.evaluate.pictures.picture import Picture, Sheet, Table
from jaxgen.evaluate.result import Result
from jaxgen.io import images, plots

OTHER = "Figures"  # where they share no protocol


def figures(results: Sequence[Result]) -> str:
    """A table of `results`, those of one protocol, layer, weights and float type together under what they share."""
    groups = sorted(dict.fromkeys(map(shared, results)), key=lambda group: not any(group))  # the last without a heading
    return "\n".join(_group(*group, [r for r in results if shared(r) == group]) for group in groups)


def shared(result: Result) -> tuple[str, str, str, str]:
    """What figures have in common that can be compared."""
    return result.protocol, result.layer, result.weights, result.dtype


def _group(protocol: str, layer: str, weights: str, dtype: str, results: Sequence[Result]) -> str:
    details = {"layer": layer, "weights sha256": weights, "computed in": dtype}
    said = " · ".join(
        f"{name} {html.escape(value)}" for name, value in details.items() if value and value not in protocol
    )
    small = f"<span class=details>{said}</span>" if said else ""
    heading = f"{html.escape(protocol or OTHER)} {small}"
    title = f"<tr><th class=protocol colspan=5 scope=rowgroup>{heading}</th></tr>"
    return f"<tbody>{title}{''.join(map(_row, results))}</tbody>"


def _row(result: Result) -> str:
    spread = "" if result.error is None else f"± {decimals(result.error, 2)}"
    unit = f" <span class=unit>{html.escape(result.unit)}</span>" if result.unit else ""
    return (
        f"<tr><th scope=row>{html.escape(result.name.replace('_', ' '))}</th>"
        f"<td class=number>{decimals(result.value)}</td><td class=error>{spread}{unit}</td>"
        f"<td class='number count'>{result.n:,}</td><td class=definition>{html.escape(result.definition)}</td></tr>"
    )


def decimals(value: float, digits: int = 3) -> str:
    """Three decimals, or as many as show `digits` digits; a count is aligned with the integer parts."""
    if not math.isfinite(value):
        return "not finite"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}<span class=blank>.000</span>"
    if 0 < abs(value) < 1e-6:
        return f"{value:.2e}"
    leading = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(3, digits - 1 - leading)}f}"


def pictures(shown: Sequence[Picture]) -> str:
    """A section for each name of one, in the order in which they come, with its pictures."""
    return "\n".join(_section(name, [p for p in shown if p.section == name]) for name in sections(shown))


def sections(shown: Sequence[Picture]) -> list[str]:
    return list(dict.fromkeys(picture.section for picture in shown))


def _section(name: str, shown: Sequence[Picture]) -> str:
    title = html.escape(name)
    return (
        f"<section id={slug(name)}><h2>{title}</h2><div class=pictures>{''.join(map(_figure, shown))}</div></section>"
    )


def _figure(picture: Picture) -> str:
    title, caption = html.escape(picture.title), html.escape(picture.caption)
    match picture.image:
        case Sheet() as sheet:
            kind, drawn = "sheet", _sheet(sheet)
        case Table() as table:
            kind, drawn = "wide", _table(table)
        case np.ndarray() as image:
            kind, drawn = "image", _image(image, html.escape(picture.title, quote=True))
        case None:
            kind, drawn = "wide", ""
        case chart:
            kind, drawn = "chart", _chart(chart, html.escape(picture.title, quote=True))
    return f"<figure class={kind}>{drawn}<figcaption><b>{title}</b> {caption}</figcaption></figure>"


def _image(image: np.ndarray, alt: str) -> str:
    data = base64.b64encode(images.png(image)).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{alt}" width="{image.shape[1]}" height="{image.shape[0]}">'


def _chart(chart: Any, title: str) -> str:
    return plots.svg(chart).replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def _sheet(sheet: Sheet) -> str:
    heads = "".join(f"<span class=head>{html.escape(head)}</span>" for head in sheet.heads)
    cells = "".join(
        f'<span class="tile{" lead" if sheet.heads and column == 0 else ""}" title="{html.escape(note, quote=True)}">'
        f"{_image(tile, html.escape(note, quote=True))}<span class=note>{html.escape(note)}</span></span>"
        for row, notes in zip(sheet.tiles, sheet.notes, strict=True)
        for column, (tile, note) in enumerate(zip(row, notes, strict=True))
    )
    columns = f' style="grid-template-columns: repeat({sheet.tiles.shape[1]}, minmax(0, 1fr))"' if heads else ""
    return f"<div class=tiles{columns}>{heads}{cells}</div>"


def _table(table: Table) -> str:
    head = "".join(f"<th scope=col class=number>{html.escape(name)}</th>" for name in table.columns)
    body = "".join(
        f"<tr><th scope=row>{html.escape(name)}</th>{''.join(map(_cell, values))}</tr>"
        for name, values in zip(table.rows, table.values, strict=True)
    )
    return f"<div class=scroll><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: float | None) -> str:
    shown = "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
    return f"<td class=number>{shown}</td>"


def slug(name: str) -> str:
    """`name` as part of an address or the name of a file."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
