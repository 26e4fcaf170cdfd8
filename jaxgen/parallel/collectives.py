"""The collectives of a compiled program, counted in its HLO text: what a step says to the other devices."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")

COMPUTATION = re.compile(r"(ENTRY )?%?([\w.-]+) \(.*\{$")
COLLECTIVE = re.compile(rf'\s+(?:ROOT )?%?[\w.-]+ = ([^%"]*?) ({"|".join(KINDS)})(-start)?\(')
CALLED = re.compile(r"(?:body|calls|to_apply|\w+_computations?)=(?:%?([\w.-]+)|\{([^}]*)\})")
TRIPS = re.compile(r'known_trip_count\W+n\W+"?(\d+)')
SHAPE = re.compile(r"\b([a-z]+\d*\w*)\[([^\]]*)\]")
CHAIN = re.compile(r"channel_id=(\d+).*chain_id=")


Groups = tuple[tuple[int, ...], ...]


class Message(NamedTuple):
    """One collective of the program: its kind, the bytes of the whole array on one device, how often it is executed,
    and the groups of devices that talk, by their numbers in the mesh; of a collective-permute the pairs (from, to)."""

    kind: str
    bytes: int
    times: int
    groups: Groups


@dataclass(frozen=True)
class Collective:
    """How many of a kind one run of the program executes, and their bytes on one device: of the whole array that is
    reduced, gathered or exchanged. Of these a ring of n devices sends and receives (n-1)/n, in an all-reduce twice."""

    count: int
    bytes: int


def collectives(hlo: str) -> dict[str, Collective]:
    """{kind: Collective} of the kinds of `KINDS` that `compiled.as_text()` has."""
    return summed(messages(hlo))


def summed(sent: Iterable[Message]) -> dict[str, Collective]:
    """{kind: Collective} of messages."""
    total: dict[str, Collective] = {}
    for message in sent:
        before = total.get(message.kind, Collective(0, 0))
        count, size = before.count + message.times, before.bytes + message.times * message.bytes
        total[message.kind] = Collective(count, size)
    return total


def messages(hlo: str) -> list[Message]:
    """The collectives in `compiled.as_text()`. Those inside a loop are executed as often as it turns, where the
    compiler knows; all branches of a conditional count. A TPU's collective that is spread over a chain of fusions
    counts once, and what it calls all-reduce-scatter is the reduce-scatter that it is."""
    devices = math.prod(int(n) for n in re.findall(r"(?:num_partitions|replica_count)=(\d+)", hlo.partition("\n")[0]))
    own: dict[str, list[Message]] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    chains: set[str] = set()
    entry = name = ""
    for line in hlo.splitlines():
        if head := COMPUTATION.match(line):
            name = head[2]
            own[name], calls[name] = [], []
            entry = name if head[1] else entry
        elif name:
            link = CHAIN.search(line)
            if (found := COLLECTIVE.match(line)) and not (link and link[1] in chains):
                kind = "reduce-scatter" if name.startswith("all-reduce-scatter") else found[2]
                groups = groups_of(line, devices)
                own[name].append(Message(kind, size_of(found, len(groups[0])), 1, groups))
                chains |= {link[1]} if link else set()
            trips = int(turns[1]) if (turns := TRIPS.search(line)) else 1
            for one, many in CALLED.findall(line):
                calls[name] += [(called.strip(" %"), trips) for called in (many or one).split(",")]

    def executed(name: str, times: int) -> list[Message]:
        inside = [executed(called, times * trips) for called, trips in calls.get(name, ())]
        return sum(inside, [message._replace(times=times) for message in own.get(name, ())])

    return executed(entry, 1)


def size_of(found: re.Match[str], group: int) -> int:
    """Bytes of the whole array of the collective `found` among groups of so many devices."""
    result, kind, start = found.groups()
    if start and kind != "all-reduce":  # (operands, results, contexts...)
        result = parts(result)[1]
    return size(result) * (group if kind == "reduce-scatter" else 1)


def groups_of(line: str, devices: int) -> Groups:
    """Who takes part together: all devices where the line does not say."""
    if listed := re.search(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{}]+\})\}", line):
        return tuple(tuple(map(int, group.split(","))) for group in re.findall(r"\{([\d,]+)\}", listed[1]))
    if tiled := re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line):
        shape = numbers(tiled[3])
        grid = np.arange(math.prod(shape)).reshape(shape).transpose(numbers(tiled[4]) if tiled[4] else None)
        return rows(grid.reshape(int(tiled[1]), int(tiled[2])))
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        axes = [(axis, int(n)) for axis, n in re.findall(r"('\w+')=(\d+)", named[1])]
        within = [i for i, (axis, _) in enumerate(axes) if axis in named[2]]
        grid = np.moveaxis(
            np.arange(math.prod(n for _, n in axes)).reshape([n for _, n in axes]), within, range(len(within))
        )
        return rows(grid.reshape(math.prod(axes[i][1] for i in within), -1).T)
    return (tuple(range(devices)),)


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def rows(grid: np.ndarray) -> Groups:
    return tuple(tuple(row) for row in grid.tolist())


def parts(text: str) -> list[str]:
    """The elements of a tuple type; commas inside brackets of any kind do not part them."""
    elements, depth = [""], 0
    for letter in text.strip()[1:-1]:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            elements.append("")
        else:
            elements[-1] += letter
    return elements


def size(text: str) -> int:
    """Bytes of every array in a type: the digits of a dtype are its bits; a pred takes a byte, a token nothing."""
    total = 0
    for dtype, shape in SHAPE.findall(text):
        digits = re.search(r"\d+", dtype)
        bits = int(digits[0]) if digits else 8 * (dtype == "pred")
        total += math.ceil(bits * math.prod(int(n.strip("<= ")) for n in shape.split(",") if n.strip()) / 8)
    return total
