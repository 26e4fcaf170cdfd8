"""Files of safetensors as numpy arrays.

    length of the header (uint64) · header · data
    header   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, "__metadata__": {...}}

The arrays fill the data one after the other, without gaps or overlaps. The format holds values only: there is nothing
in it that could be run.
"""

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

LONGEST_HEADER = 100_000_000  # bytes, as in the format's own library
MOST_AXES = 64  # of numpy's arrays

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "C64": np.dtype("<c8"),
    **{f"F{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    **{f"{sign}{bits}": np.dtype(f"<{sign.lower()}{bits // 8}") for sign in "IU" for bits in (8, 16, 32, 64)},
}


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as those of safetensors do: with the length of its header, which is a JSON object."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file by their names; they are views of it, which must not be written to.

    Raises ValueError for any other file and for a damaged one, OSError where the file system does.
    """
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    try:
        length = int.from_bytes(data[:8].tobytes(), "little")
        if not 0 < length <= min(LONGEST_HEADER, len(data) - 8):
            raise ValueError(f"its header of {length} bytes is cut short")
        header = json.loads(data[8 : 8 + length].tobytes(), object_pairs_hook=distinct)
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
        header.pop("__metadata__", None)
        return arrays(header, data[8 + length :])
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"expected a whole file of safetensors at {path}, but {reason}: fetch it again, or take another file."
        ) from error


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no name is said twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header says a name twice")
    return found


def arrays(header: dict[str, Any], data: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays that the header describes, which must fill `data`."""
    found, end = {}, 0
    for name, begin, dtype, shape, size in sorted((described(*item) for item in header.items()), key=lambda d: d[1:2]):
        if begin != end:
            raise ValueError(f"there is a gap or an overlap before {name[:80]!r}")
        end += size
        if end > len(data):
            raise ValueError(f"{name[:80]!r} reaches beyond its end")
        found[name] = np.frombuffer(data[begin:end], dtype).reshape(shape)
    if end != len(data):
        raise ValueError(f"{len(data) - end} of its bytes belong to no array")
    return {name: found[name] for name in header}


def described(name: str, entry: Any) -> tuple[str, int, np.dtype, list[int], int]:
    """(name, first byte, dtype, shape, bytes) of an array."""
    match entry:
        case {"dtype": str() as kind, "shape": list() as shape, "data_offsets": [int() as begin, int() as end]}:
            if kind not in DTYPES:
                raise ValueError(f"{name[:80]!r} is of the unknown type {kind[:20]!r}")
            if len(shape) > MOST_AXES or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
                raise ValueError(f"{name[:80]!r} has no valid shape")
            size = math.prod(shape) * DTYPES[kind].itemsize
            if not 0 <= begin <= end or end - begin != size:
                raise ValueError(f"{name[:80]!r} has {end - begin} bytes, not {size}")
            return name, begin, DTYPES[kind], shape, size
    raise ValueError(f"its header does not say what {name[:80]!r} is")
