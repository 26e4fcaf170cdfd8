"""The collectives of a compiled program, counted in its HLO text: what a step says to the other devices."""

import math
import re
from dataclasses import dataclass

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")

COMPUTATION = re.compile(r"(ENTRY )?%?([\w.-]+) \(.*\{$")
COLLECTIVE = re.compile(rf'\s+(?:ROOT )?%?[\w.-]+ = ([^%"]*?) ({"|".join(KINDS)})(-start)?\(')
CALLED = re.compile(r"(?:body|calls|to_apply|\w+_computations?)=(?:%?([\w.-]+)|\{([^}]*)\})")
TRIPS = re.compile(r'known_trip_count\W+n\W+"?(\d+)')
SHAPE = re.compile(r"\b([a-z]+\d*\w*)\[([^\]]*)\]")
CHAIN = re.compile(r"channel_id=(\d+).*chain_id=")


@dataclass(frozen=True)
class Collective:
    """How many of a kind one run of the program executes, and their bytes on one device: of the whole array that is
    reduced, gathered or exchanged. Of these a ring of n devices sends and receives (n-1)/n, in an all-reduce twice."""

    count: int
    bytes: int


def collectives(hlo: str) -> dict[str, Collective]:
    """{kind: Collective} of the kinds of `KINDS` that `compiled.as_text()` has. Those inside a loop count as often as
    it turns, where the compiler knows; all branches of a conditional count. A TPU's collective that is spread over a
    chain of fusions counts once, and what it calls all-reduce-scatter as the reduce-scatter that it is."""
    devices = math.prod(int(n) for n in re.findall(r"(?:num_partitions|replica_count)=(\d+)", hlo.partition("\n")[0]))
    own: dict[str, list[tuple[str, int]]] = {}
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
                own[name].append((kind, moved(found, line, devices)))
                chains |= {link[1]} if link else set()
            trips = int(turns[1]) if (turns := TRIPS.search(line)) else 1
            for one, many in CALLED.findall(line):
                calls[name] += [(called.strip(" %"), trips) for called in (many or one).split(",")]

    total = dict.fromkeys(KINDS, Collective(0, 0))

    def add(name: str, times: int) -> None:
        for kind, size in own.get(name, ()):
            total[kind] = Collective(total[kind].count + times, total[kind].bytes + times * size)
        for called, trips in calls.get(name, ()):
            add(called, times * trips)

    add(entry, 1)
    return {kind: found for kind, found in total.items() if found.count}


def moved(found: re.Match[str], line: str, devices: int) -> int:
    """Bytes of the whole array of the collective `found` on `line`."""
    result, kind, start = found.groups()
    if start and kind != "all-reduce":  # (operands, results, contexts...)
        result = parts(result)[1]
    return size(result) * (group(line, devices) if kind == "reduce-scatter" else 1)


def group(line: str, devices: int) -> int:
    """How many devices take part together; all where the line does not say."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return listed[1].count(",") + 1
    if tiled := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(tiled[1])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        return math.prod(int(n) for axis, n in re.findall(r"('\w+')=(\d+)", named[1]) if axis in named[2])
    return devices


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
