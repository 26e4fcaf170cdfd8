"""A question: all that decides the answer of a long computation, as JSON. Equal questions have equal answers."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict


def document(question: Mapping[str, Any]) -> bytes:
    return json.dumps(question, indent=1).encode() + b"\n"


def read(path: Path) -> dict[str, Any] | None:
    """The question in the file `path`, or None where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def digest(question: Mapping[str, Any]) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a question, for names."""
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]


def change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first thing that is another, "sampling.steps=4, now 5"."""
    before, now = (flatten_dict(dict(question), sep=".") for question in (old, new))
    for key in {**now, **before}:
        if before.get(key) != now.get(key):
            return f"{key}={before.get(key)}, now {now.get(key)}"
    return "the same question"
