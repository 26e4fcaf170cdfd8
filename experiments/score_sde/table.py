"""The tables of score-SDE (Song et al. 2021, 2011.13456): published figures and measured ones, side by side.

    python experiments/score_sde/table.py --scale=digits --runs=runs/score_sde_digits --out=experiments/score_sde
    python experiments/score_sde/table.py --scale=paper --runs=runs/score_sde --only=vp/cifar10_ddpmpp_continuous \\
        --inception=pt_inception-2015-12-05-6726825d.pth

A row is a config, a sampler and its figures (rows.py). A config is trained in its folder of --runs, unless a finished
model is there already: trained before, or put there by `jaxgen convert` from a published checkpoint. Rows that were
measured are kept in rows_NUM_SEED.json of --runs: a script that was stopped goes on where it was.

Scale "paper": FID of 50,000 samples against the training set and Inception score, on the Inception network with
score_sde's input rule, and bits/dim of the test set by the probability flow; of the latest checkpoint in the folder,
where table 3 of the paper has the best one. Scale "digits": the same pipeline in miniature, FDpix of 1,000 samples and
bits/dim on the 8x8 digits; it writes table.json, table.png and samples.png to --out.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rows import DIGITS, EVALUATIONS, PAPER, Row

from jaxgen.commands import likelihood, question
from jaxgen.commands.evaluate import drawn, trained_on
from jaxgen.commands.measure import look, opened
from jaxgen.commands.metrics import parse
from jaxgen.commands.model import Model, generate, open_data, open_model
from jaxgen.evaluate import pixels
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import open_side
from jaxgen.io import atomic, images, plots
from jaxgen.io.question import digest
from jaxgen.parallel.batched import example_keys
from jaxgen.sampling.ode import flow
from jaxgen.sampling.sample import prior

METRICS = {  # a metric, its figure, and the name that this has on the published network
    "FID": ("fid_tfgan", "FD", "FID-tfgan"),
    "IS": ("is@inception_tfgan", "IS", "IS-Inception-tfgan"),
}
PROBED = 64  # images whose evaluations by the adaptive ODE are counted
SHOWN = 10  # images of a sampler in the picture


class Scale(NamedTuple):
    """The rows of a table and how many samples its figures are of."""

    rows: list[Row]
    num: int


SCALES = {"paper": Scale(PAPER, 50_000), "digits": Scale(DIGITS, 1_000)}


def folder(runs: Path, config: str) -> Path:
    return runs / config.replace("/", "_")


def train(config: str, runs: Path) -> None:
    """Train the config in its folder, or go on with it; nothing where it is finished, or was not trained here."""
    root = folder(runs, config)
    if not root.exists() or (root / "metrics.jsonl").exists():
        command = ["train", f"--config=configs/{config}.py", f"--workdir={root}"]
        subprocess.run([sys.executable, "-m", "jaxgen", *command], check=True)


def measure(
    row: Row, runs: Path, num: int, seed: int, weights: dict[str, Path], reference: Path | None
) -> dict[str, Any]:
    """{"evaluations": mean over images, "figures": {name: [value, standard error or None]}} of a row; beside these, of
    a figure on other weights than the published ones, what it is called."""
    model = open_model(folder(runs, row.config), row.overrides)
    found = {}
    if "FDpix" in row.figures:
        training = open_data(model.run, model.run.config.data.split).records[:]["x"]
        found["FDpix"] = pixels.compare(generate(model, num, seed, None), training, model.run.spec.levels)[0]
    others: dict[str, tuple[str]] = {}
    if chosen := [parse(METRICS[name][0]) for name in filter(METRICS.get, row.figures)]:
        real = trained_on(model) if reference is None else open_side(str(reference))
        fake = drawn(model, generate(model, num, seed, None), digest(question.of_samples(model, seed, None)))
        kept = model.run.root / "eval"
        networks = opened(chosen, weights)
        results = {result.name: result for result in look(chosen, networks, real, fake, (kept, kept), None).figures}
        for name in filter(METRICS.get, row.figures):
            called = name_of(name, networks)
            found[name] = results[called]
            if called != METRICS[name][2]:
                others[name] = (called,)
    if "bits/dim" in row.figures:
        (found["bits/dim"],) = likelihood.results(model, seed=seed)
    return {
        "evaluations": model.recipe.evaluations or adaptive(model, seed),
        "figures": {name: [result.value, result.error, *others.get(name, ())] for name, result in found.items()},
    }


def name_of(name: str, networks: Mapping[str, Extractor]) -> str:
    """What the figure of METRICS is called on these networks, whose weights need not be the published ones."""
    metric, figure, _ = METRICS[name]
    one = parse(metric)
    return one.named(Result(figure, 0.0, "", 0), "", networks[one.network]).name


def adaptive(model: Model, seed: int) -> float:
    """How often the adaptive ODE calls the network for an image, on the average, the finish included."""
    settings, keys = model.run.config.sampling, example_keys(seed, jnp.arange(PROBED))

    @jax.jit
    def count(params: Any) -> jax.Array:
        den = model.recipe.denoiser(params)
        x = prior(den, keys, (PROBED, *model.run.spec.shape))
        tolerance = (settings.solver.get(name, 1e-5) for name in ("rtol", "atol"))
        return flow(den, x, den.sde.t1, settings.solver.end, None, *tolerance)[1]

    return float(jnp.mean(count(model.params))) + (settings.finish.name == "clean")


def text(figure: Sequence[Any] | None) -> str:
    """A figure with its error, and its name where that is another one than the column's."""
    if figure is None:
        return "-"
    value, error, *name = figure
    return f"{value:.3f}" + ("" if error is None else f" ± {error:.3f}") + "".join(f" ({other})" for other in name)


def side_by_side(rows: list[Row], measured: dict[str, Any]) -> str:
    """A line for every row: config, sampler, evaluations, and each figure as published and as measured."""
    lines = ["| | config | sampler | evaluations | figure | published | measured |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        found = measured.get(key(row), {})
        for name, value in row.figures.items():
            calls = f"{found['evaluations']:.0f}" if found else "-"
            was = "-" if value is None else f"{value:g}"
            now = text(found.get("figures", {}).get(name))
            lines.append(f"| {row.table} | `{row.config}` | {row.sampler} | {calls} | {name} | {was} | {now} |")
    return "\n".join(lines)


def by_evaluations(rows: list[Row], measured: dict[str, Any]) -> str:
    """A line for every config and sampler, FDpix (evaluations) from few to many; then the bits/dim of every config."""
    lines = [f"| config | sampler | {' | '.join(map(str, EVALUATIONS))} |", "|---|---|" + "---|" * len(EVALUATIONS)]
    for config in dict.fromkeys(row.config for row in rows):
        for sampler, (calls, values) in curves([row for row in rows if row.config == config], measured).items():
            cells = [f"{value:.3f} ({n:.0f})" for n, value in zip(calls, values, strict=True)]
            cells = ["-"] * (len(EVALUATIONS) - len(cells)) + cells
            lines.append(f"| `{config}` | {sampler} | {' | '.join(cells)} |")
    lines += ["", "| config | bits/dim |", "|---|---|"]
    for row in rows:
        if "bits/dim" in row.figures:
            lines.append(f"| `{row.config}` | {text(measured[key(row)]['figures']['bits/dim'])} |")
    return "\n".join(lines)


def key(row: Row) -> str:
    return " ".join((row.config, *row.overrides))


def curves(rows: list[Row], measured: dict[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Sampler -> (evaluations, FDpix) of one config."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        calls, values = found.setdefault(row.sampler.partition(",")[0], ([], []))
        calls.append(measured[key(row)]["evaluations"])
        values.append(measured[key(row)]["figures"]["FDpix"][0])
    return found


def draw(rows: list[Row], measured: dict[str, Any], runs: Path, out: Path, seed: int) -> None:
    """table.png, FDpix over evaluations; samples.png, a line of images for every row, all from the same noise. In both,
    the configs stand side by side."""
    charts, blocks = [], []
    for config in dict.fromkeys(row.config for row in rows):
        own = [row for row in rows if row.config == config]
        charts.append(plots.pixels(plots.nfe_curves(curves(own, measured), f"FDpix, {config.partition('/')[0]}")))
        lines = []
        for row in own:
            model = open_model(folder(runs, config), row.overrides)
            lines.append(images.to_uint8(generate(model, SHOWN, seed, None), 0, model.run.spec.levels - 1))
        blocks.append(images.grid(np.concatenate(lines), SHOWN))
    height = max(len(block) for block in blocks)
    blocks = [np.pad(block, ((0, height - len(block)), (0, 10), (0, 0)), constant_values=255) for block in blocks]
    images.save(out / "table.png", np.concatenate(charts, axis=1))
    images.save(out / "samples.png", np.concatenate(blocks, axis=1))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=SCALES, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--only", default="", help="configs whose name contains this")
    parser.add_argument("--out", type=Path, help="where pictures go (scale digits)")
    parser.add_argument("--num", type=int, help="samples (default 50000, or 1000 on digits)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inception", type=Path, help="the published weights of the Inception network")
    parser.add_argument("--reference", type=Path, help="its statistics of the training set (default: measured)")
    options = parser.parse_args(argv)

    scale = SCALES[options.scale]
    rows = [row for row in scale.rows if options.only in row.config]
    weights = {} if options.inception is None else {"inception": options.inception}
    num = options.num or scale.num
    kept = options.runs / f"rows_{num}_{options.seed}.json"
    measured = json.loads(kept.read_text()) if kept.exists() else {}
    for config in dict.fromkeys(row.config for row in rows):
        train(config, options.runs)
        for row in (row for row in rows if row.config == config and key(row) not in measured):
            measured[key(row)] = measure(row, options.runs, num, options.seed, weights, options.reference)
            atomic.write(kept, json.dumps(measured, indent=1).encode() + b"\n")
            print(side_by_side([row], measured).splitlines()[-1], flush=True)
    print(by_evaluations(rows, measured) if options.scale == "digits" else side_by_side(rows, measured))
    if options.out and options.scale == "digits":
        draw(rows, measured, options.runs, options.out, options.seed)
        table = {key(row): measured[key(row)] for row in rows}
        atomic.write(options.out / "table.json", json.dumps(table, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
