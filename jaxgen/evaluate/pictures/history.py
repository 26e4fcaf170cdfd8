"""Figures over the checkpoints of one run."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.result import Result
from jaxgen.io import plots

ALIKE = ("protocol", "layer", "weights", "dtype", "n")  # what two figures of one name must share to be compared


def history(folder: Path, results: Sequence[Result]) -> list[Picture]:
    """A curve for each of `results`, those of the checkpoint eval/<step>/ that is `folder`, over all checkpoints whose
    metrics.json is beside it and has this figure of the same protocol, layer, weights, float type and n. None for a
    figure that no other checkpoint has."""
    others, found = dict(read(folder)), []
    for result in results:
        points = {step: same for step, figures in others.items() if (same := comparable(figures, result)) is not None}
        if not points:
            continue
        points[int(folder.name)] = result._asdict()
        steps = sorted(points)
        values, errors = ([points[step].get(part) or 0.0 for step in steps] for part in ("value", "error"))
        unit = f" ({result.unit})" if result.unit else ""
        chart = plots.over_steps(steps, values, errors, f"{result.name.replace('_', ' ')}{unit}")
        found.append(Picture(f"{result.name} over checkpoints", chart, result.protocol, "History"))
    return found


def read(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(step, figures) of each checkpoint evaluated beside `folder`; what is no report of ours is passed by."""
    for path in folder.parent.iterdir() if folder.name.isdigit() and folder.parent.is_dir() else ():
        if path.name.isdigit() and path.name != folder.name:
            try:
                figures = json.loads((path / "metrics.json").read_bytes())["figures"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if isinstance(figures, dict):
                yield int(path.name), figures


def comparable(figures: dict[str, Any], result: Result) -> dict[str, Any] | None:
    """What `figures` say under the name of `result`, if it was taken in the same way."""
    other, blank = figures.get(result.name), Result("", 0.0, "", 0)._asdict()
    if not isinstance(other, dict) or other.get("value") is None:
        return None
    alike = all(other.get(name, blank[name]) == getattr(result, name) for name in ALIKE)
    return other if alike else None
