"""Weights are read from every published format by one function, and hostile files refused in one sentence."""

import hashlib
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import hashed
import numpy as np
import pytest
import torch_files

from jaxgen.io.weights import open_weights

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "metrics"
X = np.arange(6, dtype=np.float32)


def refused(path):
    """The sentence with which a file is refused; it names the file."""
    with pytest.raises(ValueError) as caught:
        open_weights(path)
    sentence = str(caught.value)
    assert str(path) in sentence and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_an_archive_of_torchscript_is_a_state_dict():
    """Breaks if parameters or buffers of an archive that torch wrote are lost, misnamed, or a module that is shared is
    told once only. Its program is never run, nor read."""
    path = GOLDEN / "torchscript.pt"
    state, sha256 = open_weights(path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    leaves = {"conv.weight": (2, 2, 3, 3), **{f"bn.{leaf}": (2,) for leaf in ("weight", "bias")}}
    leaves |= {f"bn.running_{leaf}": (2,) for leaf in ("mean", "var")}
    shapes = {f"blocks.{i}.{leaf}": shape for i in (0, 2) for leaf, shape in leaves.items()}
    expected = hashed.state(shapes | {"projection": (3, 4), "mask": (2, 2)}, "script/")
    expected |= {f"again.{leaf}": expected[f"blocks.2.{leaf}"] for leaf in leaves}
    expected["mask"] = expected["mask"].astype(np.float16)
    assert {name for name in state if not name.endswith("num_batches_tracked")} == expected.keys()
    for name, array in expected.items():
        assert state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array, err_msg=name)


def attributes(*pairs: bytes) -> bytes:
    """The instructions for an object of a class of the archive with these attributes, names and values in turn."""
    return b"c__torch__.net\nBlock\n)\x81}(" + b"".join(pairs) + b"ub"


def script(path, instructions, storages=None):
    """An archive with a program."""
    torch_files.zipped(path, torch_files.program(instructions), storages or {})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/code/__torch__/net.py", "import os\nos.system('touch /tmp/never')\n" * 1000)
    return path


def test_hostile_archives_are_refused(tmp_path):
    """Breaks if an archive may call what it names, or a few bytes unfold to a tree without end."""
    one = torch_files.text("a") + torch_files.tensor(torch_files.storage())
    assert open_weights(script(tmp_path / "fine.pt", attributes(one), {"0": X})).state["a"].shape == (2, 3)
    calls = b"c__torch__.net\nBlock\n(" + torch_files.text("ls") + b"tR"
    assert "calls something" in refused(script(tmp_path / "call.pt", calls))
    made = b"cposix\nsystem\n(" + torch_files.text("ls") + b"t\x81"
    assert "names 'posix.system'" in refused(script(tmp_path / "system.pt", made))
    shaped = b"c__torch__.net\nBlock\n(" + torch_files.text("ls") + b"t\x81"
    assert "no class of its own" in refused(script(tmp_path / "new.pt", shaped))
    assert "without modules" in refused(script(tmp_path / "plain.pt", b"}"))
    itself = b"c__torch__.net\nBlock\n)\x81q\x00}(" + torch_files.text("a") + b"h\x00ub"
    assert "names" in refused(script(tmp_path / "cycle.pt", itself))
    doubled = attributes(torch_files.text("a") + b"N") + b"q\x00"
    for i in range(60):
        twice = (torch_files.text(name) + b"h" + bytes([i]) for name in "ab")
        doubled += attributes(*twice) + b"q" + bytes([i + 1])
    path = script(tmp_path / "doubled.pt", doubled)
    tracemalloc.start()
    try:
        assert "names" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 10**8
    finally:
        tracemalloc.stop()
    outside = torch_files.zipped(tmp_path / "outside.pt", torch_files.program(attributes(one)), {"0": X})
    assert "names '__torch__.net.Block'" in refused(outside)


def safetensors(path, header, data):
    """A file with this header, a dict or bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(begin=0, end=24, dtype="F32", shape=(2, 3)):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_safetensors_are_read(tmp_path):
    """Breaks if a type, a shape or the place of an array is misread; metadata is no array."""
    halves = (X.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {"b": entry(24, 36, "BF16"), "__metadata__": {"format": "pt"}, "a": entry(), "n": entry(36, 44, "I64", ())}
    path = safetensors(tmp_path / "x.safetensors", header, X.tobytes() + halves + struct.pack("<q", -7))
    state, _ = open_weights(path)
    assert list(state) == ["b", "a", "n"] and state["n"] == -7 and state["n"].shape == ()
    np.testing.assert_array_equal(state["a"], X.reshape(2, 3))
    np.testing.assert_array_equal(state["b"].astype(np.float32), X.reshape(2, 3))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": entry(0, 28, shape=(7,))}, "beyond its end"),
        ({"a": entry(0, 2**40, shape=(2**38,))}, "beyond its end"),
        ({"a": entry(0, 12, shape=(3,))}, "belong to no array"),
        ({"a": entry(4, 24, shape=(5,))}, "gap or an overlap"),
        ({"a": entry(), "b": entry()}, "gap or an overlap"),
        ({"a": entry(shape=(2, 2))}, "has 24 bytes, not 16"),
        ({"a": entry(shape=(-2, -3))}, "no valid shape"),
        ({"a": entry(shape=(2.0, 3))}, "no valid shape"),
        ({"a": entry(24, 0)}, "has -24 bytes"),
        ({"a": entry(dtype="object")}, "unknown type 'object'"),
        ({"a": {"dtype": "F32"}}, "does not say what"),
        (b'{"a": {}, "a": {}}', "says a name twice"),
        (b"{" + b'"a":{' * 20_000, "expected a whole file"),
        (b"{not json", "expected a whole file"),
        (b"{}", "belong to no array"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, header, said):
    """Breaks if memory outside the file's own bytes can be read, or is set aside for what a file merely says."""
    assert said in refused(safetensors(tmp_path / "x.safetensors", header, X.tobytes()))


def test_files_cut_short_are_refused(tmp_path):
    """Breaks if a broken download is taken for weights."""
    path = safetensors(tmp_path / "x.safetensors", {"a": entry()}, X.tobytes())
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        refused(path)
    path.write_bytes(b"PNG" + whole)
    assert "torch.save or safetensors" in refused(path)


@pytest.mark.parametrize("write", [torch_files.zipped, torch_files.legacy])
def test_arrays_that_share_their_numbers_are_bounded_by_the_file(tmp_path, write):
    """Breaks if a file of a megabyte becomes a network of gigabytes, as many views of one storage as it has names; or
    if tied weights, two names of one array, are taken for such a file."""
    stored = torch_files.storage(count=5000)

    def views(count):
        named = (torch_files.text(f"{i}") + torch_files.tensor(stored, 0, (5000,), (1,)) for i in range(count))
        program = torch_files.program(b"}(" + b"".join(named) + b"u")
        return write(tmp_path / f"{count}.pth", program, {"0": np.zeros(5000, np.float32)})

    assert len(open_weights(views(2)).state) == 2
    assert "share their numbers and unfold to 100,000" in refused(views(5))


def test_a_checkpoint_of_a_training_run_is_its_state_dict(tmp_path):
    """Breaks if the weights in {"state_dict": ...} come with a prefix, or steps and optimizer states for weights."""
    tensor = torch_files.tensor(torch_files.storage())
    inner = b"}(" + torch_files.text("conv") + b"}(" + torch_files.text("weight") + tensor + b"uu"
    content = b"}(" + torch_files.text("step") + b"K\x07" + torch_files.text("state_dict") + inner + b"u"
    path = torch_files.legacy(tmp_path / "x.pth", torch_files.program(content), {"0": X})
    assert list(open_weights(path).state) == ["conv.weight"]
    single = torch_files.zipped(tmp_path / "single.pth", torch_files.program(tensor), {"0": X})
    assert "no arrays by name" in refused(single)
