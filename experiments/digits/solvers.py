"""Solvers on one trained model: distance to the converged solution, and FDpix, over the number of evaluations.

    jaxgen train --config=configs/edm/digits_mlp.py --workdir=runs/digits_mlp
    python experiments/digits/solvers.py --workdir=runs/digits_mlp --out=experiments/digits

A deterministic solver is judged by the root-mean-square pixel distance (1 = full range) to the solution that Heun's
method reaches in 1,999 evaluations from the same noise; its order is the slope of that error between about 50 and 200
evaluations. FDpix of 1,000 samples stands beside it: it does not measure how well the ODE is solved, and includes the
noisy samplers.
Writes solvers.png and solvers.json.
"""

import argparse
import json
from pathlib import Path

import jax
import numpy as np

from jaxgen.commands.model import Model, generate, open_data, open_model
from jaxgen.evaluate import pixels
from jaxgen.io import images, plots
from jaxgen.parallel.batched import example_keys

DETERMINISTIC = ("ddim", "heun", "dpmpp_2m")
STOCHASTIC = ("ancestral", "predictor_corrector")
BUDGETS = (5, 10, 20, 50, 100, 200, 1000)
PATHS = 64
Curves = dict[str, tuple[list[int], list[float]]]  # solver -> (evaluations, values)


def at(root: Path, solver: str, budget: int) -> Model:
    """The model sampled by `solver` with the most grid times that `budget` evaluations allow."""
    arguments = {
        "predictor_corrector": ["sampling.solver.predictor=reverse_diffusion", "sampling.solver.corrector=langevin"]
    }
    cost = {"heun": 2, "predictor_corrector": 2}.get(solver, 1)
    steps = (budget - 1) // cost + 1
    return open_model(root, [f"sampling.solver={solver}", *arguments.get(solver, []), f"sampling.steps={steps}"])


def solution(model: Model, seed: int) -> np.ndarray:
    """Final images, not rounded, pixels in units of the full range. [PATHS, H, W, C]."""
    keys = example_keys(seed, np.arange(PATHS))
    path = jax.jit(model.recipe.trajectory)(model.params, keys, None)
    return np.asarray(path[-1]) / (model.run.spec.levels - 1)


def order(calls: list[int], errors: list[float]) -> float:
    """Minus the slope of log error over log evaluations, from 50 to 200 evaluations."""
    inside = [(n, e) for n, e in zip(calls, errors, strict=True) if 45 <= n <= 205]
    n, e = np.log(np.array(inside)).T
    return float(-np.polyfit(n, e, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    converged = solution(at(options.workdir, "heun", 1999), options.seed)
    reference = open_model(options.workdir)
    train = open_data(reference.run, reference.run.config.data.split).records[:]["x"]
    distance: Curves = {}
    quality: Curves = {}
    for solver in DETERMINISTIC + STOCHASTIC:
        for budget in BUDGETS:
            model = at(options.workdir, solver, budget)
            calls = model.recipe.evaluations
            if solver in DETERMINISTIC:
                error = float(np.sqrt(np.mean((solution(model, options.seed) - converged) ** 2)))
                distance.setdefault(solver, ([], []))[0].append(calls)
                distance[solver][1].append(error)
            x = generate(model, options.num, options.seed, None)
            fd = pixels.compare(x, train, model.run.spec.levels)[0].value
            quality.setdefault(solver, ([], []))[0].append(calls)
            quality[solver][1].append(fd)
            print(f"{solver:<20} {calls:5} evaluations  FDpix {fd:8.4f}", flush=True)
    orders = {solver: order(*curve) for solver, curve in distance.items()}
    for solver, value in orders.items():
        print(f"{solver:<20} order {value:.2f}")
    draw(options.out, distance, orders, quality)
    summary = {"distance": distance, "order": orders, "FDpix": quality}
    (options.out / "solvers.json").write_text(json.dumps(summary, indent=1) + "\n")


def draw(out: Path, distance: Curves, orders: dict[str, float], quality: Curves) -> None:
    """Both plots side by side, solvers.png."""
    left = plots.pixels(
        plots.nfe_curves(
            {f"{s} (order {orders[s]:.1f})": c for s, c in distance.items()}, "distance to the converged image"
        )
    )
    right = plots.pixels(plots.nfe_curves(quality, "FDpix of 1,000 samples"))
    images.save(out / "solvers.png", np.concatenate([left, right], axis=1))


if __name__ == "__main__":
    main()
