"""Evaluation metrics beside those of other libraries: the same images and features, in one run.

    python experiments/benchmarks/metrics.py [--rounds=3 --only=frechet]     (or `make bench`; the extra "bench")

Every figure stands beside a truth, a closed form where there is one and else the definition in float64; an error is the
largest difference from it, relative to the largest of it. Where time is told it is the least of interleaved rounds, all
with the same number of threads, after a warm-up: of the clock, and in brackets of the processor's cores added up, into
which other work on the machine does not count. Where there is such work, one core alone (`taskset -c 0`) is the fair
measure: threads that wait for each other spin.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

US = "jaxgen"


class Row(NamedTuple):
    """One step of an evaluation, by every library that has it.

    sides: name -> the step, of which jaxgen's is the first.
    truth: what it should give, and `source`, how that is known.
    count: how many images a call takes; 0 where only the error is of interest.
    """

    title: str
    sides: dict[str, Callable[[], Any]]
    truth: Any
    source: str
    count: int = 0


def seconds(row: Row, rounds: int) -> dict[str, tuple[float, float]]:
    """The least seconds of each side, by the clock and of the processor, over rounds in turn."""
    best = dict.fromkeys(row.sides, (np.inf, np.inf))
    for _ in range(rounds):
        for name, run in row.sides.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            taken = time.perf_counter() - clock, time.process_time() - processor
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
    return best


def error(value: Any, truth: Any) -> float:
    value, truth = np.asarray(value, np.float64), np.asarray(truth, np.float64)
    scale = np.abs(truth).max()
    return float(np.abs(value - truth).max() / (scale or 1.0))


def timed(row: Row, rounds: int) -> None:
    """One part of the table of times."""
    errors = {name: error(run(), row.truth) for name, run in row.sides.items()}  # which is the warm-up
    took = seconds(row, rounds)
    for name, (clock, processor) in took.items():
        rate = row.count / clock
        told = f"{rate:,.1f}" if rate < 1000 else f"{rate:,.0f}"
        ratio = "" if name == US else f"{clock / took[US][0]:.2f}"
        title = row.title if name == US else ""
        print(
            f"| {title} | {name} | {clock:.3f} ({processor:.3f}) | {told} | {ratio} | {errors[name]:.0e} |", flush=True
        )


def judged(row: Row) -> None:
    """One line of the table of errors."""
    told = ", ".join(f"{name} {error(run(), row.truth):.0e}" for name, run in row.sides.items() if name != US)
    truth = ", ".join(f"{v:.6g}" for v in np.ravel(row.truth)[:2])
    print(f"| {row.title} | {truth} ({row.source}) | {error(row.sides[US](), row.truth):.0e} | {told} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=10_000, help="features on either side")
    parser.add_argument("--only", default="", help="rows with this in the name of their function")
    given = parser.parse_args()
    try:
        import metrics_peers  # noqa: F401
        import torch
    except ModuleNotFoundError as missing:
        raise SystemExit(f'{missing.name} is missing: `make bench` installs it, of the extra "bench".') from None
    import metrics_features
    import metrics_images

    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, PyTorch {torch.__version__}, threads: {threads}\n")

    def chosen(makers: Sequence[Callable[[int], Row]]) -> Iterator[Row]:
        return (make(given.count) for make in makers if given.only in make.__name__)

    print("| step | by | seconds (of all cores) | images/s | jaxgen x as fast | error |\n|---|---|---|---|---|---|")
    for row in chosen(metrics_features.TIMED + metrics_images.TIMED):
        timed(row, given.rounds)
    print("\n| what is right | truth | jaxgen's error | errors of others |\n|---|---|---|---|")
    for row in chosen(metrics_features.JUDGED + metrics_images.JUDGED):
        judged(row)


if __name__ == "__main__":
    main()
