"""Pickles give plain values, and nothing they ask for is done."""

import collections
import io
import os
import pickle

import pytest

from jaxgen.io.weights.pickles import unpickle

VALUES = {
    "numbers": [0, 255, 256, 65536, -1, 2**40, -(2**63), 2**64 - 1, 1.5, True, False, None],
    "text": ["", "a" * 300, "größer"],
    "bytes": (b"", b"x" * 300),
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    3: {"nested": [{"dicts": {}}], "more": [[], [[]]]},
}


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.arguments = function, arguments

    def __reduce__(self):
        return self.arguments


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_come_back(protocol):
    """Breaks if an instruction that Python's pickler uses for plain values is missing or misread."""
    shared = ["once"]
    values = VALUES if protocol > 2 else {key: value for key, value in VALUES.items() if key != "bytes"}
    stream = io.BytesIO(pickle.dumps([values, shared, shared], protocol) + b"rest")
    got = unpickle(stream)
    assert got == [values, shared, shared] and got[1] is got[2]
    assert stream.read() == b"rest"


def test_names_mean_what_the_table_says():
    """Breaks if a name is looked up anywhere else, or the attributes of a dict are not passed over."""
    table = {"collections OrderedDict": lambda pairs=(): dict(pairs)}
    value = collections.OrderedDict(a=1)
    value._metadata = {"version": 1}
    assert unpickle(io.BytesIO(pickle.dumps(value, 2)), table) == {"a": 1}


HOSTILE = {
    "system": lambda run: pickle.dumps(Calls(os.system, run), 2),
    "system by stack": lambda run: pickle.dumps(Calls(os.system, run), 4),
    "eval": lambda run: pickle.dumps(Calls(eval, f"__import__('os').system({run!r})"), 2),
    "exec": lambda run: pickle.dumps(Calls(exec, f"import os; os.system({run!r})"), 4),
    "getattr": lambda run: pickle.dumps(Calls(getattr, "", "join"), 4),
    "inst": lambda run: b"(S" + repr(run).encode() + b"\nios\nsystem\n.",
    "obj": lambda run: b"(cos\nsystem\nS" + repr(run).encode() + b"\no.",
    "newobj": lambda run: b"\x80\x02csubprocess\nPopen\n(S" + repr(run).encode() + b"\nt\x81.",
    "persistent id": lambda run: b"P" + run.encode() + b"\n.",
    "extension": lambda run: b"\x80\x02\x82\x01.",
    "dotted": lambda run: b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
    "attribute of an allowed name": lambda run: b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
    "a value called": lambda run: b"\x80\x02K\x01)R.",
    "a name stored into": lambda run: b"\x80\x02ccollections\nOrderedDict\nK\x01K\x02s.",
    "a list as a key": lambda run: b"\x80\x02}]K\x01s.",
    "a huge integer": lambda run: b"\x80\x02\x8b" + (10**6).to_bytes(4, "little") + b"\x7f" * 10**6 + b".",
    "too few values": lambda run: b"\x80\x02\x86.",
    "no value": lambda run: b"\x80\x02.",
    "no mark": lambda run: b"\x80\x02K\x01t.",
    "nothing in the memo": lambda run: b"\x80\x02h\x05.",
    "a text that ends early": lambda run: b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"abc",
    "no end": lambda run: b"\x80\x02K\x01",
    "nothing": lambda run: b"",
    "no pickle": lambda run: b"hello",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_asks_for_more_is_refused_and_nothing_runs(case, tmp_path):
    """Breaks if a file from the network can run code, or damage ends in anything but a ValueError."""
    marker = tmp_path / "marker"
    content = HOSTILE[case](f"touch {marker}")
    with pytest.raises(ValueError):
        unpickle(io.BytesIO(content), {"collections OrderedDict": lambda pairs=(): dict(pairs)})
    assert not marker.exists()


def test_every_prefix_of_a_pickle_is_refused():
    """Breaks if a file that was cut short is taken for a whole one, or ends in another kind of error."""
    whole = pickle.dumps(VALUES, 4)
    for end in range(len(whole)):
        with pytest.raises(ValueError):
            unpickle(io.BytesIO(whole[:end]))


def test_small_files_of_deep_and_shared_values_cost_little():
    """Breaks if nesting recurses, or a value that is named twice is copied: 2^60 entries from a kilobyte."""
    shared = b"]q\x00" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60))
    value = unpickle(io.BytesIO(b"\x80\x02" + shared + b"."))
    for _ in range(60):
        assert len(value) == 2 and value[0] is value[1]
        value = value[0]
    deep = unpickle(io.BytesIO(b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b"."))
    for _ in range(9_999):
        (deep,) = deep
    assert deep == []
