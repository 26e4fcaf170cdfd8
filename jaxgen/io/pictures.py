"""A folder of PNG files that grows part by part: FOLDER/000000.png, 000001.png, ...

While it is not whole, FOLDER/unfinished.json says what it answers and how many parts are there; other files stay.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxgen.io import atomic, images
from jaxgen.io.rows import Question, aligned, document, kept


class Pictures:
    """n images in levels [b, H, W, C], 0 .. levels - 1, `size` in a part: a `jaxgen.io.rows.Store`."""

    def __init__(self, folder: Path, n: int, size: int, levels: int):
        self.folder, self.n, self.size, self.levels = folder, n, size, levels
        self.question: dict[str, Any] = {}
        self.parts = 0  # that are there

    def begin(self, question: Question) -> None:
        """Keep the parts that answer `question`; other images of the same names stay until they are replaced."""
        self.question = aligned(question, self)
        path = self.folder / "unfinished.json"
        if kept(path, self.question, ignored="parts"):
            self.parts = json.loads(path.read_bytes())["parts"]
        else:
            self.note(0)

    def note(self, parts: int) -> None:
        self.parts = parts
        atomic.write(self.folder / "unfinished.json", document({**self.question, "parts": parts}))

    def whole(self, part: int) -> bool:
        """Whether the part is there, and its files are undamaged."""
        return part < self.parts and all(map(undamaged, self.paths(part)))

    def write(self, part: int, rows: np.ndarray) -> None:
        for path, image in zip(self.paths(part), images.to_uint8(rows, 0, self.levels - 1), strict=True):
            images.save(path, image)
        self.note(max(self.parts, part + 1))

    def end(self) -> None:
        (self.folder / "unfinished.json").unlink()

    def abandon(self) -> None:
        self.end()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def paths(self, part: int) -> list[Path]:
        return [self.folder / f"{i:06}.png" for i in range(self.n)[part * self.size : (part + 1) * self.size]]


def undamaged(path: Path) -> bool:
    """Whether `path` is a PNG file whose checksums are right."""
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
