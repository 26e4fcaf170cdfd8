"""Files of torch.save as nested dicts, lists and tuples of numpy arrays, without torch.

zip          NAME/data.pkl, a pickle whose tensors are views of storages; NAME/data/KEY, their bytes; NAME/byteorder
TorchScript  the same, whose pickle is a tree of modules, beside a program in NAME/code, which is not even read
legacy       magic number, protocol, machine (three pickles); the pickle; the keys of the storages (a pickle); for each
             key in turn the number of its elements (int64) and their bytes

Everything a file declares is checked against the bytes it has before memory is set aside.
"""

import io
import math
import mmap
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from jaxgen.io.weights.flat import flat
from jaxgen.io.weights.pickles import Named, Object, Refusal, only, store, unpickle

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of the magic number
PROTOCOL = 1001
MOST_AXES = 64  # of numpy's arrays

STORAGES = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "ComplexDouble": np.complex128,
    "ComplexFloat": np.complex64,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}


def is_torch(path: Path) -> bool:
    """Whether the file begins as those of torch.save do."""
    with path.open("rb") as file:
        return file.read(len(LEGACY)).startswith((ZIP, LEGACY))


def read_torch(path: Path) -> Any:
    """What torch.save put into the file: tensors as numpy arrays that must not be written to, OrderedDicts as dicts. Of
    a TorchScript archive, the state dict: parameters and buffers by their names.

    Only files of plain containers, numbers, text, tensors and parameters are read; nothing from the file is run.
    Raises ValueError for any other file and for a damaged one, OSError where the file system does.
    """
    with path.open("rb") as file:
        head = file.read(len(LEGACY))
        file.seek(0)
        try:
            if head.startswith(ZIP):
                return read_zip(file, path.stat().st_size)
            if head == LEGACY:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    return read_legacy(mapped)
        except Refusal as error:
            raise ValueError(
                f"expected a file of arrays at {path}, but {error}: save the state_dict alone, or take another file."
            ) from error
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(f"expected a whole file of torch.save at {path}, but {reason}: fetch it again.") from error
    raise ValueError(f"expected a file of torch.save at {path}, but it begins otherwise: take another file.")


def read_zip(file: BinaryIO, size: int) -> Any:
    """The content of a file in zip format, of `size` bytes."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise Refusal("it has two entries of one name")
        roots = [parts[0] + "/" for name in entries if (parts := name.split("/", 1))[1:] == ["data.pkl"]]
        if len(roots) != 1:
            raise Refusal("it has no single data.pkl")
        (root,) = roots
        script = any(name.startswith(f"{root}code/") for name in entries)
        entries = {name: entry for name, entry in entries.items() if not name.startswith(f"{root}code/")}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise Refusal("its entries are compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise ValueError("its entries are larger than the file")

        def checked(name: str) -> bytes:
            if root + name not in entries:
                raise ValueError(f"it has no {name[:80]!r}")
            return archive.read(entries[root + name])

        order = checked("byteorder") if f"{root}byteorder" in entries else b"little"
        storages: dict[str, np.ndarray] = {}

        def storage(identity: Any) -> np.ndarray:
            dtype, key, count = declared(identity)
            if key not in storages:
                data = checked(f"data/{key}")
                if len(data) != count * dtype.itemsize:
                    raise ValueError(f"storage {key} has {len(data)} bytes, not {count} x {dtype.itemsize}")
                storages[key] = decoded(data, dtype, order == b"little")
            return shared(storages[key], dtype, count)

        names = ScriptNames(NAMES) if script else NAMES
        content = unpickle(io.BytesIO(checked("data.pkl")), names, storage)
        if not script:
            return content
        if not isinstance(content, Object):
            raise Refusal("it is a TorchScript program without modules")
        return flat(content)


class ScriptNames(dict[str, Any]):
    """The names of torch's own functions, and all others in a TorchScript archive, which are its classes."""

    def __missing__(self, name: str) -> Any:
        if name.startswith("__torch__"):
            return Object
        raise KeyError(name)


def read_legacy(file: mmap.mmap) -> Any:
    """The content of a file in legacy format. Its tensors are views of storages that are filled afterwards."""
    file.seek(len(LEGACY))
    if unpickle(file) != PROTOCOL:
        raise Refusal("it is of an unknown protocol")
    machine = unpickle(file)
    little = not isinstance(machine, dict) or machine.get("little_endian", True)
    storages: dict[str, np.ndarray] = {}
    left = len(file)

    def storage(identity: Any) -> np.ndarray:
        nonlocal left
        dtype, key, count = declared(identity)
        if key not in storages:
            left -= count * dtype.itemsize
            if left < 0:
                raise ValueError("its storages are larger than the file")
            storages[key] = np.zeros(count, dtype)
        return shared(storages[key], dtype, count)

    content = unpickle(file, NAMES, storage)
    keys = unpickle(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or {*keys} != {*storages}:
        raise ValueError("its list of storages is damaged")
    for key in keys:
        array = storages[key]
        head, data = file.read(8), file.read(array.nbytes)
        if len(head) < 8 or struct.unpack("<q" if little else ">q", head)[0] != array.size or len(data) < array.nbytes:
            raise ValueError(f"storage {key} is cut short")
        array[:] = decoded(data, array.dtype, bool(little))
    return content


def declared(identity: Any) -> tuple[np.dtype, str, int]:
    """(dtype, key, number of elements) of a storage: ("storage", type, key, device, elements, None if legacy)."""
    match identity:
        case ("storage", Named(meaning=np.dtype() as dtype), str() as key, str(), int() as count, *rest):
            if count >= 0 and rest in ([], [None]):
                return dtype, key, count
    raise Refusal("it refers to something that is no storage of numbers")


def decoded(data: bytes, dtype: np.dtype, little: bool) -> np.ndarray:
    """The elements that `data` holds in this byte order."""
    array = np.frombuffer(data, dtype)
    return array if little else array.byteswap()


def shared(array: np.ndarray, dtype: np.dtype, count: int) -> np.ndarray:
    """A storage that was met before, which must not have changed."""
    if array.dtype != dtype or array.size != count:
        raise Refusal("two of its tensors read one storage differently")
    return array


def tensor(storage: Any = None, offset: Any = None, size: Any = None, stride: Any = None, *_: Any) -> np.ndarray:
    """x[i, j, ...] = storage[offset + i stride_0 + j stride_1 + ...], of this size."""
    match storage, size, stride:
        case np.ndarray(ndim=1), tuple(), tuple() if len(size) == len(stride) <= MOST_AXES:
            numbers = (offset, *size, *stride)
        case _:
            raise Refusal("it has a tensor that is no view of a storage")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("it has a tensor of negative size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) > storage.size or all(size) and last >= storage.size:
        raise ValueError("it has a tensor that reaches beyond its storage")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)


def ordered(pairs: Any = None, *_: Any) -> dict[Any, Any]:
    """An OrderedDict of a list of pairs."""
    target: dict[Any, Any] = {}
    store(target, [] if pairs is None else only(list, pairs))
    return target


def first(value: Any = None, *_: Any) -> Any:
    """The tensor of a parameter, the name of a device, a list of TorchScript without its type."""
    return value


def size(numbers: Any = (), *_: Any) -> tuple[int, ...]:
    """A torch.Size: the tuple itself."""
    if len(only(tuple, numbers)) > MOST_AXES or not all(type(number) is int for number in numbers):
        raise Refusal("it has a torch.Size that is no tuple of integers")
    return numbers


NAMES: dict[str, np.dtype | Callable[..., Any]] = {
    "collections OrderedDict": ordered,
    "torch._utils _rebuild_tensor": tensor,
    "torch._utils _rebuild_tensor_v2": tensor,
    "torch._utils _rebuild_parameter": first,
    "torch Size": size,
    "torch device": first,
    **{f"torch.jit._pickle build_{kind}list": first for kind in ("int", "double", "bool", "tensor")},
    "torch.jit._pickle restore_type_tag": first,
    **{f"torch {name}Storage": np.dtype(kind) for name, kind in STORAGES.items()},
}
