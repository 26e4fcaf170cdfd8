"""How far a long job is: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol, TextIO, TypeVar

INTERVAL = 5.0

T = TypeVar("T")
Tell = Callable[[float], None]  # hears which share of some work is done
WATCHER: ContextVar[Tell] = ContextVar("WATCHER", default=lambda share: None)


class Update(Protocol):
    def __call__(self, step: int, note: str = "", /, **figures: float) -> None: ...


class Progress(NamedTuple):
    """update(step, note, loss=0.12, ...): `step` units of work are done; note and figures are shown beside the rate."""

    update: Update


@contextmanager
def progress(
    total: int,
    initial: int = 0,
    unit: str = "step",
    file: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Show `total` units of work of which `initial` are done, with the rate and the time left, but for units without a
    name, which are not alike.

    The rate counts from the first update on, so that compilation does not blur it. On a terminal it is a bar on
    one line, elsewhere (a log file, a batch job) a line every 5 seconds, at the first update and at the end.
    """
    file = sys.stderr if file is None else file
    display = _bar if file.isatty() else _lines
    first: tuple[int, float] | None = None

    with display(total, initial, file, clock) as show:

        def update(step: int, note: str = "", /, **figures: float) -> None:
            nonlocal first
            now = clock()
            first = (step, now) if first is None else first
            elapsed = now - first[1]
            rate = (step - first[0]) / elapsed if elapsed > 0 and unit else 0.0
            left = f"{duration((total - step) / rate)} left" if rate > 0 else ""
            speed = f"{rate:.3g} {unit}/s" if rate >= 1 else f"{1 / rate:.3g} s/{unit}" if rate > 0 else ""
            shown = [f"{name} {value:.4g}" for name, value in figures.items()]
            show(step, "  ".join(filter(None, [note, speed, left, *shown])))

        yield Progress(update)


@contextmanager
def watching(tell: Tell) -> Iterator[None]:
    """Whatever is `tracked` within is told to `tell`."""
    token = WATCHER.set(tell)
    try:
        yield
    finally:
        WATCHER.reset(token)


def tracked(parts: Iterable[T], count: int) -> Iterator[T]:
    """`parts`, of which there are `count`: whoever is `watching` hears of each that is begun. For loops deep within a
    computation, which show nothing themselves."""
    tell = WATCHER.get()
    for i, part in enumerate(parts):
        tell(i / count)
        yield part


def duration(seconds: float) -> str:
    """42 s, 3:07 min or 2:05:00 h."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02} h" if hour else f"{minute}:{second:02} min" if minute else f"{second} s"


Show = Callable[[int, str], None]


@contextmanager
def _bar(total: int, initial: int, file: TextIO, clock: Callable[[], float]) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
    with Bar(*columns, console=Console(file=file)) as bar:
        task = bar.add_task("", total=total, completed=initial, text="")
        yield lambda step, text: bar.update(task, completed=step, text=text)


@contextmanager
def _lines(total: int, initial: int, file: TextIO, clock: Callable[[], float]) -> Iterator[Show]:
    printed = -math.inf
    width = len(str(total))

    def show(step: int, text: str) -> None:
        nonlocal printed
        if step >= total or clock() - printed >= INTERVAL:
            printed = clock()
            percent = 100 * step / max(total, 1)
            print(f"{step:>{width}}/{total}  {percent:3.0f}%  {text}".rstrip(), file=file, flush=True)

    yield show
