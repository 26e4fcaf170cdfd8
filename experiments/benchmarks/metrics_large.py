"""Nearest neighbours, precision and recall, and KID of features on disk that are never in memory at once.

    python experiments/benchmarks/metrics_large.py [--count=50000 --only=prdc]

Two sets of `count` x 2048 in float32 are written to a temporary folder, and each step runs in a process of its own:
seconds by the clock, and in brackets of the processor's cores added up, the peak of the resident memory, and that
before the first block. The neighbours of some rows, and their radii, are computed again in float64 from differences.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.evaluate.distribution.blocks import blocks
from jaxgen.evaluate.distribution.kernel import kid_full
from jaxgen.evaluate.distribution.neighbours import nearest, nearest_others
from jaxgen.evaluate.distribution.prdc import prdc

DIMENSION, K, CHECKED = 2048, 5, 20


class File:
    """Rows of a .npy file, of which a slice is read when it is asked for."""

    def __init__(self, path: Path):
        self.path, self.length = path, len(np.load(path, mmap_mode="r"))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> np.ndarray:
        return np.array(np.load(self.path, mmap_mode="r")[part])


def write(path: Path, n: int, seed: int) -> None:
    """Normal features whose variances fall as 1 / i, of mean 0.4 + 0.01 seed, a block at a time."""
    random = np.random.default_rng(seed)
    deviations = np.float32(np.arange(1, DIMENSION + 1.0) ** -0.5)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIMENSION))
    for start, block in blocks(rows):
        shape = len(block), DIMENSION
        rows[start : start + len(block)] = deviations * random.standard_normal(shape, np.float32) + 0.4 + 0.01 * seed


def error(queries: File, points: File, squared: np.ndarray, apart: bool) -> float:
    """Of squared distances to the K nearest, of CHECKED rows, relative; with `apart` a row is not its own neighbour."""
    chosen = np.linspace(0, len(queries) - 1, CHECKED).astype(int)
    worst = 0.0
    for i in chosen:
        row = queries[i : i + 1].astype(np.float64)
        found = np.concatenate([np.square(block - row).sum(1) for _, block in blocks(points)])
        if apart:
            found[i] = np.inf
        truth = np.sort(found)[:K]
        worst = max(worst, float(np.abs(squared[i] / truth - 1).max()))
    return worst


def nearest_across(x: File, y: File) -> tuple[str, Callable[[], float]]:
    squared, _ = nearest(x, y, K)
    return f"mean distance {np.sqrt(squared).mean():.6f}", lambda: error(x, y, squared, False)


def nearest_within(x: File, y: File) -> tuple[str, Callable[[], float]]:
    squared, _ = nearest_others(x, K)
    return f"mean distance {np.sqrt(squared).mean():.6f}", lambda: error(x, x, squared, True)


def precision_recall(x: File, y: File) -> tuple[str, None]:
    return ", ".join(f"{name} {value:.4f}" for name, value in prdc(x, y, K)._asdict().items()), None


def kernel_distance(x: File, y: File) -> tuple[str, None]:
    found = kid_full(x, y)
    return f"{found.value:.6e} ± {found.error:.1e}", None


STEPS: dict[str, Callable[[File, File], Any]] = {
    "the 5 nearest of the other set": nearest_across,
    "the 5 nearest of the others of a set": nearest_within,
    "precision, recall, density, coverage (prdc)": precision_recall,
    "KID of all pairs, with its error": kernel_distance,
}


def peak() -> float:
    """Resident memory of this process at most, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def measured(name: str, paths: list[Path]) -> str:
    """A line of the table."""
    before, clock, processor = peak(), time.perf_counter(), time.process_time()
    told, check = STEPS[name](*map(File, paths))
    took, memory = (time.perf_counter() - clock, time.process_time() - processor), peak()
    checked = "" if check is None else f"; largest error of {CHECKED} rows {check():.0e}"
    return f"| {name} | {took[0]:.1f} ({took[1]:.1f}) | {memory:.2f} ({before:.2f}) | {told}{checked} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50_000, help="features on either side")
    parser.add_argument("--only", default="", help="steps with this in their name")
    parser.add_argument("--folder", help="where the features are written, two files of count x 8 KB (temporary)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        paths = [Path(folder) / f"{i}.npy" for i in range(2)]
        for seed, path in enumerate(paths):
            write(path, given.count, seed)
        print(f"| {given.count:,} x {DIMENSION} twice | seconds | peak memory, GB | found |\n|---|---|---|---|")
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as alone:
            for name in STEPS:
                if given.only in name:
                    print(alone.submit(measured, name, paths).result(), flush=True)


if __name__ == "__main__":
    main()
