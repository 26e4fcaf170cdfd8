"""A page on which people compare two models side by side, without knowing which is which.

Per pair of images of one prompt, each question is answered with left, right or no preference, as on DrawBench (Saharia
et al. 2022, section 4.1). The page is one file for any browser, keeps what was answered, and gives it as JSON.
"""

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from jaxgen.evaluate.prompts.runs import Run
from jaxgen.io import atomic

QUESTIONS = {
    "alignment": "Which image shows more faithfully what the text says?",
    "quality": "Which image is of higher quality?",
}
LARGEST = 512 << 20  # bytes of images in one page that a browser still opens


def write_sheet(
    path: str | os.PathLike,
    a: Run,
    b: Run,
    key: Array,
    rows: Sequence[int] | None = None,
    questions: Mapping[str, str] = QUESTIONS,
    title: str = "Which image is better?",
) -> Path:
    """Write the page of the images `rows` of the runs a and b, by default those of the first seed, to `path`.

    The key decides the order of the pairs, and for which half of them a is on the left. Neither is to be seen on the
    page, but the ratings say it. Raises ValueError where the runs are of other prompts or seeds, or of one system.
    """
    check(a, b)
    step = len(a.manifest.seeds)
    chosen = np.arange(0, len(a), step) if rows is None else np.asarray(rows)
    if not len(chosen) or len(set(chosen.tolist())) < len(chosen) or not np.isin(chosen, np.arange(len(a))).all():
        raise ValueError(
            f"the rows of a sheet must be different ones of 0 .. {len(a) - 1}, got {chosen.tolist()[:20]}."
        )
    size = sum(run.path(row).stat().st_size for run in (a, b) for row in chosen.tolist())
    if size > LARGEST:
        raise ValueError(
            f"{size >> 20} MB of images are more than the {LARGEST >> 20} MB that a browser opens in one page: write "
            "several sheets, each of a part of the rows."
        )
    systems = a.manifest.system, b.manifest.system
    places, sides = jax.random.split(key)
    order = np.asarray(jax.random.permutation(places, len(chosen)))
    swapped = np.asarray(jax.random.permutation(sides, len(chosen))) % 2 == 1
    pairs = [(int(chosen[i]), (b, a) if swapped[i] else (a, b)) for i in order]
    known = {"systems": systems, "title": title, "questions": dict(questions)}
    digest = hashlib.sha256(json.dumps(known).encode())
    for item in items(pairs):
        digest.update(item.encode())
    slots = {"title": html.escape(title), "sheet": in_script({"sheet": digest.hexdigest()[:12], **known})}
    page = (files("jaxgen.evaluate.prompts") / "sheet.html").read_text("utf-8")
    head, tail = (re.sub(r"{{(\w+)}}", lambda slot: slots[slot[1]], part) for part in page.split("{{items}}"))
    with atomic.opened(path) as file:
        file.write(head.encode())
        for item in items(pairs):
            file.write(f'<script type="application/json" class="item">{item}</script>\n'.encode())
        file.write(tail.encode())
    return Path(path)


def check(a: Run, b: Run) -> None:
    if (a.manifest.prompts, a.manifest.seeds) != (b.manifest.prompts, b.manifest.seeds):
        raise ValueError(f"a sheet compares runs of the same prompts and seeds, {a.folder} and {b.folder} are not.")
    if a.manifest.system == b.manifest.system:
        raise ValueError(f"a sheet compares two systems, but both runs are of {a.manifest.system!r}: name them apart.")


def items(pairs: Sequence[tuple[int, tuple[Run, Run]]]) -> Iterator[str]:
    """What the page holds of each pair, image files as they are."""
    for row, sides in pairs:
        prompt = sides[0].prompt(row)
        yield in_script(
            {
                "prompt": prompt.text,
                "category": prompt.category,
                "challenge": prompt.challenge,
                "seed": sides[0].seed(row),
                "left": sides[0].manifest.system,
                "right": sides[1].manifest.system,
                "images": [
                    f"data:image/png;base64,{base64.b64encode(run.path(row).read_bytes()).decode()}" for run in sides
                ],
            }
        )


def in_script(value: Any) -> str:
    """JSON that no script element ends in."""
    return json.dumps(value).replace("<", "\\u003c")
