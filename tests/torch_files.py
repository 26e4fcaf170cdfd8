"""Files of torch.save, written by hand: pickles instruction by instruction, so that they may also say what torch never
would."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def text(value: str) -> bytes:
    """The instruction for a text."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """The instruction for an integer."""
    return b"\x8a" + bytes([9]) + value.to_bytes(9, "little", signed=True)


def numbers(values) -> bytes:
    """The instructions for a tuple of integers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind: str = "Float", key: str = "0", count: int = 6) -> bytes:
    """The instructions for a storage of `count` elements."""
    head = b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + text(key)
    return head + text("cpu") + number(count) + b"tQ"


def tensor(stored: bytes, offset: int = 0, size=(2, 3), stride=(3, 1)) -> bytes:
    """The instructions for a tensor."""
    arguments = stored + number(offset) + numbers(size) + numbers(stride) + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def program(instructions: bytes) -> bytes:
    """The whole pickle of these instructions."""
    return b"\x80\x02" + instructions + b"."


def zipped(path: Path, content: bytes, storages: dict[str, np.ndarray], compression: int = zipfile.ZIP_STORED) -> Path:
    """A file in zip format."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", b"little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def saved(path: Path, state: dict[str, np.ndarray]) -> Path:
    """A file in zip format of a flat state dict of float32 arrays."""
    content = b"}("
    for name, array in state.items():
        strides = [step // array.itemsize for step in array.strides]
        content += text(name) + tensor(storage("Float", name, array.size), 0, array.shape, strides)
    return zipped(path, program(content + b"u"), state)


def legacy(path: Path, content: bytes, storages: dict[str, np.ndarray]) -> Path:
    """A file in legacy format."""
    machine = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, machine))
    tail = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    path.write_bytes(head + content + pickle.dumps([*storages], 2) + tail)
    return path
