"""jaxgen sheet: a page on which people compare the images of two runs."""

from pathlib import Path

import jax
import numpy as np

from jaxgen.evaluate.prompts.runs import open_run
from jaxgen.evaluate.prompts.sheet import write_sheet
from jaxgen.io.location import check_file


def sheet(runs: tuple[Path, Path], out: Path, num: int | None = None, seed: int = 0) -> str:
    """Write the sheet of two runs to `out`: the first image of every prompt, or of `num` prompts. The seed
    decides these, their order, and which side each system is on."""
    check_file("--out", out)
    a, b = map(open_run, runs)
    prompts, step = len(a.manifest.prompts), len(a.manifest.seeds)
    if num is not None and num > prompts:
        raise ValueError(f"--num must be at most the {prompts} prompts of {a.folder}, got {num}.")
    drawn = np.random.default_rng(seed).choice(prompts, num or prompts, replace=False)
    write_sheet(out, a, b, jax.random.key(seed), sorted((step * drawn).tolist()))
    return f"{len(drawn):,} pairs in {out}: send it to raters, and give their files to jaxgen ratings"
