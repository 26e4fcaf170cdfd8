"""Files of flax.serialization as nested dicts of numpy arrays.

MessagePack, in which extension 1 is an array, (shape, name of the dtype, bytes), and 3 a scalar written alike. An array
beyond 2^30 bytes is a dict of its flat parts. The format holds values only: there is nothing in it that could be run.
"""

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import msgpack
import numpy as np

ARRAY, SCALAR = 1, 3
CHUNKED = "__msgpack_chunked_array__"
DTYPES = {
    name.encode(): np.dtype(name)
    for name in ("bool", "complex64", "complex128", "float16", "float32", "float64")
    + tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
} | {b"bfloat16": np.dtype(ml_dtypes.bfloat16)}
DICTS = {bytes([head]) for head in (*range(0x81, 0x90), 0xDE, 0xDF)}  # of 1 to 15 keys, of more
LONGEST_LIST, MOST_KEYS = 2**16, 2**20


def is_msgpack(path: Path) -> bool:
    """Whether the file begins as those of flax.serialization do that hold a dict: with its length."""
    with path.open("rb") as file:
        return file.read(1) in DICTS


def read_msgpack(path: Path) -> Any:
    """What flax.serialization.msgpack_serialize, or flax.training.checkpoints, put into the file.

    Raises ValueError if it holds anything else or is damaged, OSError where the file system does.
    """
    data = path.read_bytes()
    try:
        return msgpack.unpackb(
            data, ext_hook=extension, object_hook=joined, max_array_len=LONGEST_LIST, max_map_len=MOST_KEYS
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"expected a whole file of flax.serialization at {path}, but it cannot be read ({reason}): fetch it again, "
            "or take another file."
        ) from error


def extension(code: int, data: bytes) -> Any:
    """An array or a scalar."""
    if code not in (ARRAY, SCALAR):
        raise ValueError(f"unknown extension {code}")
    shape, name, buffer = msgpack.unpackb(data, raw=True, max_array_len=64, max_map_len=0)
    if name not in DTYPES:
        raise ValueError(f"unknown dtype {name!r}")
    array = np.frombuffer(buffer, DTYPES[name]).reshape([int(n) for n in shape])
    return array[()] if code == SCALAR else array


def joined(value: dict[str, Any]) -> Any:
    """The array whose parts are in `value`, or `value` itself."""
    if CHUNKED not in value:
        return value
    shape, chunks = (in_order(value[key]) for key in ("shape", "chunks"))
    flat = np.concatenate(chunks)
    if flat.size != math.prod(shape):
        raise ValueError("an array misses parts")
    return flat.reshape(shape)


def in_order(parts: dict[str, Any]) -> list[Any]:
    """The values of {"0": ..., "1": ..., ...}."""
    return [parts[str(i)] for i in range(len(parts))]
