"""A tree of modules or dicts as a flat state dict."""

from typing import Any

import numpy as np

from jaxgen.io.weights.pickles import Object, Refusal

MOST_NAMES, LONGEST_NAME = 100_000, 1_000  # a branch that is shared counts wherever it is


def flat(root: Any) -> dict[str, np.ndarray]:
    """{"block.conv.weight": array} of nested dicts, or objects by their attributes, in their order. What else is in
    them, such as a number of steps, is left out. Raises ValueError for one that unfolds beyond all bounds."""
    found: dict[str, np.ndarray] = {}
    ahead: list[tuple[str, Any]] = [("", root)]
    met = 1
    while ahead:
        name, value = ahead.pop()
        if isinstance(value, np.ndarray):
            found[name] = value
        below = value.attributes if isinstance(value, Object) else value if isinstance(value, dict) else {}
        met += len(below)
        if met > MOST_NAMES or len(name) > LONGEST_NAME:
            raise Refusal(f"it has more than {MOST_NAMES:,} names, or one of more than {LONGEST_NAME:,} letters")
        ahead += [(f"{name}.{key}".removeprefix("."), part) for key, part in reversed(below.items())]
    return found
