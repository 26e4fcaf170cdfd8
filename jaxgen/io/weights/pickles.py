"""A pickle read as data.

A pickle is a program for a stack machine that may call any function by its name. The machine here knows only the
instructions that make numbers, text, bytes, lists, tuples, dicts and plain objects, which are no more than their
attributes. A name stands for what the caller's table has under it, never for anything that is imported, and whatever
else the program asks for is refused.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple, Protocol, cast

LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Stream(Protocol):
    """Bytes in order; `read` gives fewer than were asked for at the end, and never sets memory aside for more."""

    def read(self, size: int = ...) -> bytes: ...

    def readline(self) -> bytes: ...


class Named(NamedTuple):
    """What a name in a pickle stands for."""

    name: str
    meaning: Any


class Object:
    """An object of a class that is not known here: its attributes."""

    def __init__(self) -> None:
        self.attributes: dict[Any, Any] = {}


def unpickle(
    stream: Stream, names: Mapping[str, Any] | None = None, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The value of the pickle at the head of `stream`, which is left behind its end.

    names: {"module name": what that name stands for}; functions among them may be called by the pickle, so they must
    take any arguments, raise ValueError for bad ones, and copy of them no more than the entries of lists, which are
    counted; `Object` is a class whose objects may be made. persistent: id -> what stands outside the pickle.
    Memory is in proportion to the bytes read. Raises ValueError for a damaged pickle and for one that needs more.
    """
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under each mark
    memo: dict[Any, Any] = {}
    handed = 0  # entries of lists that functions were given: a list in the memo counts whenever it is
    try:
        argument: Any
        for done, (instruction, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
            match instruction.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                case "MARK":
                    below.append(stack)
                    stack = []
                case name if name in LITERALS:
                    stack.append(moderate(argument))
                case name if name in CONSTANTS:
                    stack.append(CONSTANTS[name])
                case name if name in EMPTY:
                    stack.append(EMPTY[name]())
                case name if name in TUPLES:
                    stack[-TUPLES[name] :] = [tuple(take(stack, TUPLES[name]))]
                case "TUPLE":
                    items, stack = stack, below.pop()
                    stack.append(tuple(items))
                case "APPEND":
                    value = stack.pop()
                    only(list, stack[-1]).append(value)
                case "APPENDS":
                    items, stack = stack, below.pop()
                    only(list, stack[-1]).extend(items)
                case "SETITEM":
                    key, value = take(stack, 2)
                    del stack[-2:]
                    store(stack[-1], [(key, value)])
                case "SETITEMS":
                    items, stack = stack, below.pop()
                    store(stack[-1], zip(items[::2], items[1::2], strict=True))
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "GLOBAL":
                    stack.append(meaning(argument, names or {}))
                case "STACK_GLOBAL":
                    module, name = take(stack, 2)
                    stack[-2:] = [meaning(f"{only(str, module)} {only(str, name)}", names or {})]
                case "REDUCE":
                    function, arguments = take(stack, 2)
                    handed += sum(len(value) for value in only(tuple, arguments) if isinstance(value, list))
                    if handed > done:
                        raise Refusal("it copies its lists again and again")
                    stack[-2:] = [call(function, arguments)]
                case "NEWOBJ":
                    kind, arguments = take(stack, 2)
                    stack[-2:] = [new(kind, arguments)]
                case "BUILD":
                    state = stack.pop()
                    if isinstance(stack[-1], Object):
                        stack[-1].attributes = only(dict, state)
                    else:
                        only(dict, stack[-1])  # attributes of a dict, as the version of a state_dict, hold no weights
                case "BINPERSID" if persistent is not None:
                    stack.append(persistent(stack.pop()))
                case name:
                    raise Refusal(f"it needs the pickle instruction {name}, which no file of arrays has")
    except Refusal:
        raise
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"its pickle is damaged ({error})") from error
    raise ValueError("its pickle is damaged")


class Refusal(ValueError):
    """What is in the file is whole, but not of a kind that is read here."""


def meaning(name: str, names: Mapping[str, Any]) -> Named:
    """What `name` stands for."""
    try:
        return Named(name, names[name])
    except KeyError:
        shown = name.replace(" ", ".", 1)[:80]
        raise Refusal(f"it names {shown!r}, which no file of arrays needs; nothing in it was run") from None


def call(function: Any, arguments: tuple[Any, ...]) -> Any:
    """function(*arguments) for a function of the table."""
    if not isinstance(function, Named) or function.meaning is Object or not callable(function.meaning):
        raise Refusal("it calls something that is no function")
    return function.meaning(*arguments)


def new(kind: Any, arguments: Any) -> Object:
    """An object without attributes, of a class of the table."""
    if not isinstance(kind, Named) or kind.meaning is not Object or arguments != ():
        raise Refusal("it makes an object of something that is no class of its own")
    return Object()


def take(stack: list[Any], count: int) -> list[Any]:
    """The topmost `count` values."""
    if len(stack) < count:
        raise ValueError("too few values")
    return stack[-count:]


def only(kind: type, value: Any) -> Any:
    """`value` if it is exactly of this type."""
    if type(value) is not kind:
        raise Refusal(f"it uses a {type(value).__name__} as a {kind.__name__}")
    return value


def store(target: Any, pairs: Any) -> None:
    """target[key] = value for pairs whose keys are text or integers."""
    for key, value in pairs:
        if type(key) not in (str, int):
            raise Refusal(f"it has a dict with a {type(key).__name__} as a key")
        only(dict, target)[key] = value


def moderate(value: Any) -> Any:
    """`value` unless it is an integer of more than 64 bits."""
    if type(value) is int and not -(2**63) <= value < 2**64:
        raise Refusal("it has an integer of more than 64 bits")
    return value
