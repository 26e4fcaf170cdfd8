"""Files of flax.serialization are read as nested dicts of numpy arrays, others refused in one sentence."""

import ml_dtypes
import msgpack
import numpy as np
import pytest
from flax import serialization

from jaxgen.io.weights import read_msgpack

TREE = {
    "step": 7,
    "lr": 2e-4,
    "nested": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4)), "none": None},
    "rng": np.array([1, 2], np.uint32),
    "scalar": np.float64(0.5),
    "half": np.ones(3, ml_dtypes.bfloat16),
}


def refused(path, content):
    """The sentence with which a file of this content is refused."""
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_msgpack(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def array(shape, dtype, data):
    """An array as its extension writes it."""
    return msgpack.packb({"a": msgpack.ExtType(1, msgpack.packb((shape, dtype, data)))})


def test_what_flax_writes_comes_back(tmp_path, monkeypatch):
    """Breaks if an array, a scalar or an array in parts is misread."""
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 8)
    (tmp_path / "x").write_bytes(serialization.msgpack_serialize(TREE))
    got = read_msgpack(tmp_path / "x")
    assert {*got} == {*TREE} and got["step"] == 7 and got["nested"]["none"] is None and got["scalar"] == 0.5
    for name, want in TREE["nested"].items():
        np.testing.assert_array_equal(want, got["nested"][name])
    assert got["half"].dtype == TREE["half"].dtype and got["nested"]["kernel"].dtype == np.float32


def test_damage_and_strange_arrays_are_refused(tmp_path):
    """Breaks if a file can make an array of objects, or of more than its bytes, or damage ends in another error."""
    path = tmp_path / "x"
    whole = serialization.msgpack_serialize(TREE)
    for end in range(0, len(whole), 5):
        refused(path, whole[:end])
    refused(path, whole + b"more")
    for content in (
        b"hello world",
        array((1,), "object", bytes(8)),
        array((1,), "O", bytes(8)),
        array((1,), "V8", bytes(8)),
        array((2**40,), "float32", bytes(8)),
        array((-1, 0), "float32", bytes(8)),
        array((2, 2), "float32", bytes(8)),
        array("no", "float32", bytes(8)),
        msgpack.packb({"a": msgpack.ExtType(5, b"")}),
        msgpack.packb({"a": {"__msgpack_chunked_array__": True, "shape": {"0": 4}, "chunks": {"1": 1}}}),
        msgpack.packb({"a": {"__msgpack_chunked_array__": True, "shape": {"0": 2**60}, "chunks": {"0": 1}}}),
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 5000,
    ):
        assert "flax.serialization" in refused(path, content)
