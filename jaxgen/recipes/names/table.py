"""What a table of names is."""

from collections.abc import Callable, Mapping
from typing import Any

Table = Mapping[str, Callable[..., Any]]


def constant(value: Any) -> Callable[[], Any]:
    """A function without arguments, for table entries that are values."""
    return lambda: value
