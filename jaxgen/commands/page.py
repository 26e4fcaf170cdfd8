"""What an evaluation found, on one page and as text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxgen.commands.measure import Look, bar
from jaxgen.evaluate.page import markup
from jaxgen.evaluate.page.report import report
from jaxgen.evaluate.pictures.comparison import PARTS, comparison, uncompared
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.pictures.samples import sample_pictures
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream.sides import Side
from jaxgen.io.location import readable
from jaxgen.parallel import multihost


def compared(fake: Side, real: Side, look: Look) -> list[Picture]:
    """What is shown of both sides."""
    if look.near is None:
        return [*sample_pictures(fake, real), *uncompared(look.unseen)]
    with bar("pictures", PARTS) as done:
        return comparison(fake, real, look.near, look.space, done)


def written(
    where: Path, title: str, found: list[Result], pictures: list[Picture], about: Mapping[str, Any], summary: str
) -> str:
    """The page of what was found, and what it says as text."""
    if multihost.is_main():
        report(where, title, found, pictures, about, summary)
    return "\n".join([*lines(found), f"wrote {readable(where / 'report.html')}"])


def lines(results: Sequence[Result]) -> list[str]:
    """The results as text, those that can be compared under the protocol that they share."""
    said = []
    for group in dict.fromkeys(map(markup.shared, results)):
        protocol, layer, _, dtype = group
        details = [protocol, f"layer {layer}" if layer else "", f"computed in {dtype}" if dtype else ""]
        said += ["; ".join(filter(None, details))] if any(group) else []
        said += [f"  {line(result)}" for result in results if markup.shared(result) == group]
    return said


def line(result: Result) -> str:
    """A name, its value with as many digits as tell something, and how many samples it rests on."""
    whole = isinstance(result.value, int)
    value = f"{result.value:,}" if whole else markup.decimals(result.value)
    error = "" if result.error is None else f" ± {markup.decimals(result.error, 2)}"
    unit = f" {result.unit}" if result.unit else ""
    return f"{result.name:<22} {value}{error}{unit}, n = {result.n:,}"
