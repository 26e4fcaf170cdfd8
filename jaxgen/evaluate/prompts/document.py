"""JSON files that people send each other: read with distrust."""

import json
from pathlib import Path
from typing import Any, NoReturn


def read_json(path: Path) -> Any:
    """What the file says. Raises ValueError where it is no JSON in UTF-8, is nested too deeply, or holds what JSON does
    not have: NaN, Infinity, half a surrogate pair."""
    try:
        found = json.loads(path.read_bytes(), parse_constant=_refused)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be read.") from None
    return found


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON.")
