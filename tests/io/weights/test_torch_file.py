"""Files of torch.save are read as numpy arrays, and damaged or hostile ones refused in one sentence."""

import os
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from torch_files import legacy, program, storage, tensor, text, zipped

from jaxgen.io.weights import read_torch

X = np.arange(6, dtype=np.float32)
WRITERS = {"zip": zipped, "legacy": legacy}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Writes a file with this content and storages in either format."""
    return lambda content, storages: WRITERS[request.param](tmp_path / "x.pth", content, storages)


def refused(path):
    """The sentence with which a file is refused; it names the file."""
    with pytest.raises(ValueError) as caught:
        read_torch(path)
    sentence = str(caught.value)
    assert str(path) in sentence and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_tensors_are_views_of_storages(write):
    """Breaks if offset, size or stride is misread: transposed and sliced tensors would come out scrambled."""
    parts = [
        tensor(storage()),
        tensor(storage(), 0, (3, 2), (1, 3)),
        tensor(storage(), 1, (2,), (2,)),
        tensor(storage(), 5, (), ()),
        tensor(storage(), 6, (0, 3), (3, 1)),
    ]
    path = write(program(b"]" + b"".join(part + b"a" for part in parts)), {"0": X})
    whole, turned, sliced, scalar, empty = read_torch(path)
    np.testing.assert_array_equal(whole, X.reshape(2, 3))
    np.testing.assert_array_equal(turned, X.reshape(2, 3).T)
    np.testing.assert_array_equal(sliced, X[1:5:2])
    assert scalar.shape == () and scalar == 5 and empty.shape == (0, 3)


@pytest.mark.parametrize(
    "kind, dtype", [("Double", "<f8"), ("Half", "<f2"), ("Long", "<i8"), ("Byte", "u1"), ("Bool", "?")]
)
def test_every_kind_of_number(write, kind, dtype):
    """Breaks if a storage is read as another type."""
    x = (np.arange(6) % 2).astype(dtype)
    content = program(tensor(storage(kind)))
    got = read_torch(write(content, {"0": x}))
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, x.reshape(2, 3))


def test_bfloat16_and_big_endian(tmp_path):
    """Breaks if brain floats lose their exponent, or the byte order of the writing machine is ignored."""
    halves = (X.view(np.uint32) >> 16).astype("<u2")
    path = zipped(tmp_path / "b.pth", program(tensor(storage("BFloat16"))), {"0": halves})
    np.testing.assert_array_equal(read_torch(path).astype(np.float32), X.reshape(2, 3))
    with zipfile.ZipFile(tmp_path / "e.pth", "w") as archive:
        archive.writestr("e/data.pkl", program(tensor(storage())))
        archive.writestr("e/byteorder", "big")
        archive.writestr("e/data/0", X.astype(">f4").tobytes())
    np.testing.assert_array_equal(read_torch(tmp_path / "e.pth"), X.reshape(2, 3))


@pytest.mark.parametrize(
    "offset, size, stride",
    [
        (1, (2, 3), (3, 1)),
        (7, (1,), (1,)),
        (0, (2, 3), (4, 1)),
        (0, (2**40,), (0,)),
        (0, (2**31, 2**31), (0, 0)),
        (-1, (2,), (1,)),
        (0, (-2, 3), (3, 1)),
        (5, (2,), (-1,)),
        (0, (2, 3), (3,)),
        (2**62, (1,), (1,)),
        (0, (1,) * 70, (1,) * 70),
    ],
)
def test_no_tensor_reaches_beyond_its_storage(write, offset, size, stride):
    """Breaks if memory outside the file's own bytes can be read, or a small file can ask for terabytes."""
    refused(write(program(tensor(storage(), offset, size, stride)), {"0": X}))


@pytest.mark.parametrize("count", [5, 7, 2**40, 2**62, -1])
def test_a_storage_has_the_bytes_it_declares(write, count):
    """Breaks if memory is set aside for what a file merely says."""
    refused(write(program(tensor(storage(count=count), size=(1,), stride=(1,))), {"0": X}))


def test_many_small_lies_are_not_added_up(tmp_path):
    """Breaks if each storage of a legacy file is held against the file's size, but not all together."""
    parts = [tensor(storage(key=str(i), count=1000), size=(1,), stride=(1,)) for i in range(100)]
    content = program(b"]" + b"".join(part + b"a" for part in parts))
    assert "larger than the file" in refused(legacy(tmp_path / "x.pth", content, {"0": X}))


def test_many_storages_cost_in_proportion(tmp_path):
    """Breaks if all storages are added up for each new one: a megabyte of empty ones then takes a quarter of a
    minute."""
    keys = [str(i) for i in range(20000)]
    content = program(b"](" + b"".join(storage(key=key, count=0) for key in keys) + b"e")
    begun = time.process_time()
    found = read_torch(legacy(tmp_path / "many.pth", content, dict.fromkeys(keys, X[:0])))
    assert len(found) == 20000 and time.process_time() - begun < 5


@pytest.mark.parametrize("axes", [65, 150_000])
def test_tensors_have_few_axes(write, axes):
    """Breaks if the sizes of a tensor are multiplied however many there are: two megabytes then take minutes."""
    content = program(tensor(storage(), 0, (2**62,) * axes, (1,) * axes))
    begun = time.process_time()
    assert "no view of a storage" in refused(write(content, {"0": X}))
    assert time.process_time() - begun < 5


def test_one_storage_is_of_one_kind(write):
    """Breaks if a tensor sees another's bytes as numbers of another type."""
    content = program(b"]" + tensor(storage()) + b"a" + tensor(storage("Int")) + b"a")
    assert "differently" in refused(write(content, {"0": X}))


class Runs:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_nothing_in_a_file_is_run(write, tmp_path):
    """Breaks if opening a checkpoint from the network can run code."""
    marker = tmp_path / "marker"
    for content in (
        pickle.dumps({"model": Runs(f"touch {marker}")}, 2),
        program(b"(" + text("storage") + b"cos\nsystem\n" + text("0") + text("cpu") + b"K\x06tQ"),
        program(b"(" + text("module") + b"ctorch.nn\nLinear\n" + text("x.py") + text("import os") + b"tQ"),
        program(b"ctorch\nload\n(" + text(str(tmp_path)) + b"tR"),
        program(b"ctorch._utils\n_rebuild_tensor_v2\n}" + text("__code__") + b"K\x01sb"),
    ):
        refused(write(content, {"0": X}))
    assert not marker.exists()
    assert "names 'posix.system'" in refused(write(pickle.dumps(Runs(f"touch {marker}"), 2), {}))


def test_archives_that_torch_never_writes(tmp_path):
    """Breaks if a compressed archive can unfold to any size, or one of two entries of a name is taken at random."""
    content = program(tensor(storage()))
    bomb = zipped(tmp_path / "bomb.pth", content, {"0": np.zeros(10**8, np.uint8)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**6 and "compressed" in refused(bomb)
    with zipfile.ZipFile(tmp_path / "code.pth", "w") as archive:
        archive.writestr("a/data.pkl", program(tensor(storage(key="x/code/y", count=10**8))))
        archive.writestr("a/data/x/code/y", bytes(4 * 10**7), zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(tmp_path / "code.pth")
    with zipfile.ZipFile(tmp_path / "program.pth", "w") as archive:
        archive.writestr("a/data.pkl", program(tensor(storage(key="../code/y", count=10**7))))
        archive.writestr("a/data/../code/y", bytes(4 * 10**7), zipfile.ZIP_DEFLATED)
        archive.writestr("a/code/y", bytes(4 * 10**7), zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(tmp_path / "program.pth")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "two.pth", "w") as archive:
        for _ in range(2):
            archive.writestr("a/data.pkl", content)
    assert "two entries" in refused(tmp_path / "two.pth")
    with zipfile.ZipFile(tmp_path / "none.pth", "w") as archive:
        archive.writestr("a/other.pkl", content)
    assert "data.pkl" in refused(tmp_path / "none.pth")
    with zipfile.ZipFile(tmp_path / "script.pth", "w") as archive:
        archive.writestr("a/data.pkl", program(b"]"))
        archive.writestr("a/code/model.py", "import os")
    assert "TorchScript program without modules" in refused(tmp_path / "script.pth")
    assert "data/0" in refused(zipped(tmp_path / "lost.pth", content, {"1": X}))
    lie = bytearray(zipped(tmp_path / "lie.pth", content, {"0": X}).read_bytes())
    central = lie.rindex(b"PK\x01\x02")
    struct.pack_into("<II", lie, central + 20, 2**31, 2**31)
    (tmp_path / "lie.pth").write_bytes(lie)
    assert "larger than the file" in refused(tmp_path / "lie.pth")


@pytest.mark.parametrize(
    "function, given, said",
    [
        ("torch\nSize", b"]" + b"(" + b"N" * 50_000 + b"e", "a list as a tuple"),
        ("torch\nSize", b"(" + b"K\x01" * 50_000 + b"t", "no tuple of"),
        ("torch\nSize", storage(count=6), "a ndarray as a tuple"),
        ("collections\nOrderedDict", b"]" + b"(" + b"K\x01N\x86" * 20_000 + b"e", "again and again"),
        (
            "collections\nOrderedDict",
            b"](" + b"".join(b"M" + struct.pack("<H", i) + b"N\x86" for i in range(9_000)) + b"e",
            "again and again",
        ),
    ],
)
def test_a_value_is_not_copied_over_and_over(write, function, given, said):
    """Breaks if a function of the format copies what it is given: 100 kilobytes would become many gigabytes."""
    again = b"c" + function.encode() + b"\n" + b"h\x00\x85R"
    path = write(program(given + b"q\x00" + again * 1_000), {"0": X})
    tracemalloc.start()
    try:
        assert said in refused(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * path.stat().st_size, peak


def test_what_torch_copies_is_copied(write):
    """Breaks if the guard against copies refuses an OrderedDict of pairs, as old files have it, or a torch.Size."""
    content = b"](ccollections\nOrderedDict\n](K\x01K\x02\x86K\x03K\x04\x86e\x85Rctorch\nSize\nK\x02K\x03\x86\x85Re"
    assert read_torch(write(program(content), {})) == [{1: 2, 3: 4}, (2, 3)]


def test_files_cut_short_or_changed(write):
    """Breaks if a broken download is taken for a checkpoint."""
    path = write(program(tensor(storage())), {"0": X})
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        refused(path)
    if whole.startswith(b"PK"):
        path.write_bytes(whole.replace(X.tobytes(), X[::-1].tobytes()))
        assert "CRC" in refused(path)


def test_other_files(tmp_path):
    """Breaks if a file of another kind ends in anything but a sentence that says what was expected."""
    for name, content in {
        "empty": b"",
        "text": b"hello\n",
        "pickle": pickle.dumps({"a": 1}),
        "zip": b"PK\x03\x04",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert "torch.save" in refused(path)
