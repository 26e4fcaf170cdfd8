"""jaxgen ratings: what people prefer, from the files that their sheets gave."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxgen.evaluate.prompts.ratings import (
    Interval,
    Preference,
    Rating,
    agreement,
    grouped,
    left_share,
    read_ratings,
    summarize,
)
from jaxgen.io.location import readable

HEADS = "{:<{width}}  {:>7} {:>5} {:>5} {:>5}   {:<16}  {}"
NOTE = (
    "[95% intervals]: a of decided leaves out who said neither, by Wilson as if no rating told of another; the "
    "preference counts\nthem half, over prompts."
)


def ratings(paths: Sequence[Path]) -> str:
    """A table per question: of all prompts, of each category, of each challenge."""
    systems, found = read_ratings(paths)
    a, b = map(readable, systems)
    raters = {rating.rater for rating in found}
    said = [f"a = {a}, b = {b}; {len(raters)} rater{'s' * (len(raters) > 1)}"]
    for question, some in grouped(found, lambda rating: rating.question).items():
        rows = {"all": some}
        rows |= parts(grouped(some, lambda rating: readable(rating.category)), len(some))
        challenges = grouped(some, lambda rating: readable(rating.challenge))
        rows |= parts({f"challenge {name}": part for name, part in challenges.items() if name}, len(some))
        width = max(map(len, rows))
        said += [
            "",
            HEADS.format(
                readable(question), "prompts", "a", "none", "b", "a of decided", "preference for a", width=width
            ),
            *(line(name, summarize(part), width) for name, part in rows.items()),
            f"left side chosen {shown(left_share(some))} of decided{together(some)}",
        ]
    return "\n".join([*said, "", NOTE])


def parts(groups: Mapping[str, list[Rating]], n: int) -> dict[str, list[Rating]]:
    """The groups of n ratings, without one that holds all of them."""
    return {name: some for name, some in groups.items() if len(some) < n}


def line(name: str, p: Preference, width: int) -> str:
    return HEADS.format(name, p.prompts, p.wins, p.ties, p.losses, shown(p.won), shown(p.preference), width=width)


def shown(interval: Interval | None) -> str:
    """61% [52, 69]."""
    if interval is None:
        return "-"
    value, low, high = (round(100 * figure) for figure in interval)
    return f"{value}% [{low}, {high}]"


def together(some: Sequence[Rating]) -> str:
    """What to say of how the raters agree."""
    share = agreement(some)
    return "" if share is None else f"; two raters of a pair agree {round(100 * share)}% of the time"
