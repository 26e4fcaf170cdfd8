"""Which rows the tables have: a config, a sampler, and what was published for them.

Published figures are those of Song et al. 2021 (2011.13456): table 1 (FID of samplers on the network of DDPM), table 2
(likelihood and the probability-flow ODE), table 3 (the best samplers). The VE network is told the nearest of its 1000
levels, so its rows P2000 have the figures of table 4; table 1's are of interpolated labels, as the VP network's are.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """`overrides` make the sampler out of the config's own; `figures` are the metrics to take, with what was published
    (None: nothing)."""

    table: str
    config: str
    sampler: str
    overrides: tuple[str, ...]
    figures: dict[str, float | None]


def published_sampler(predictor: str, corrector: str, n: int, snr: float, *more: str) -> tuple[str, ...]:
    """score_sde's predictor-corrector loop over n times."""
    solver = {"predictor": predictor, "corrector": corrector, "snr": snr}
    return (*(f"sampling.solver.{key}={value}" for key, value in solver.items()), f"sampling.steps={n}", *more)


def table_1(
    config: str, snr: dict[str, float], fid: dict[str, tuple[float, ...]], interpolated: tuple[str, ...]
) -> list[Row]:
    """Predictor alone with 1000 and 2000 steps, and with a corrector after each of 1000; correctors alone, 2000 steps.
    `interpolated` gives a solver of 2000 steps its tables."""
    rows = []
    for predictor, values in fid.items():
        name = "reverse_diffusion" if predictor == "probability_flow" else predictor
        flow = ("sampling.solver.stochasticity=0.0",) if predictor == "probability_flow" else ()
        for label, corrector, n, value in zip(
            ("P1000", "P2000", "PC1000"), ("none", "none", "langevin"), (1000, 2000, 1000), values, strict=True
        ):
            more = flow + (interpolated if n == 2000 else ())
            overrides = published_sampler(name, corrector, n, snr[predictor], *more)
            rows.append(Row("table 1", config, f"{predictor} {label}", overrides, {"FID": value}))
    return rows


ODE = "sampling.solver=probability_flow", "sampling.solver.end=1e-3", "sampling.finish=as_it_is"

PAPER = [
    *table_1(
        "ve/cifar10_ddpm",
        {"ancestral_sampling": 0.17, "reverse_diffusion": 0.16, "probability_flow": 0.17},
        {
            "ancestral_sampling": (4.98, 4.92, 3.62),
            "reverse_diffusion": (4.79, 4.72, 3.60),
            "probability_flow": (15.41, 12.87, 3.51),
        },
        (),
    ),
    Row("table 1", "ve/cifar10_ddpm", "C2000", published_sampler("none", "langevin", 2000, 0.22), {"FID": 20.43}),
    *table_1(
        "vp/ddpm/cifar10",
        {"ancestral_sampling": 0.01, "reverse_diffusion": 0.01, "probability_flow": 0.04},
        {
            "ancestral_sampling": (3.24, 3.24, 3.21),
            "reverse_diffusion": (3.21, 3.19, 3.18),
            "probability_flow": (3.59, 3.23, 3.06),
        },
        ("sampling.solver.sde=vp",),
    ),
    Row(
        "table 1",
        "vp/ddpm/cifar10",
        "C2000",
        published_sampler("none", "langevin", 2000, 0.27, "sampling.solver.sde=vp"),
        {"FID": 19.06},
    ),
    Row("table 2", "vp/ddpm/cifar10", "ODE", (*ODE, "sampling.sde=vp"), {"FID": 3.37, "bits/dim": 3.28}),
    *(
        Row("table 2", config, "ODE", ODE, {"FID": fid, "bits/dim": bits})
        for config, fid, bits in (
            ("vp/ddpm/cifar10_continuous", 3.69, 3.21),
            ("subvp/cifar10_ddpm_continuous", 3.56, 3.05),
            ("vp/cifar10_ddpmpp_continuous", 3.93, 3.16),
            ("subvp/cifar10_ddpmpp_continuous", 3.16, 3.02),
            ("vp/cifar10_ddpmpp_deep_continuous", 3.08, 3.13),
            ("subvp/cifar10_ddpmpp_deep_continuous", 2.92, 2.99),
        )
    ),
    *(
        Row("table 3", config, "as configured", (), {"FID": fid, "IS": score})
        for config, fid, score in (
            ("vp/cifar10_ddpmpp", 2.78, 9.64),
            ("vp/cifar10_ddpmpp_continuous", 2.55, 9.58),
            ("subvp/cifar10_ddpmpp_continuous", 2.61, 9.56),
            ("vp/cifar10_ddpmpp_deep_continuous", 2.41, 9.68),
            ("subvp/cifar10_ddpmpp_deep_continuous", 2.41, 9.57),
            ("ve/cifar10_ncsnpp", 2.45, 9.73),
            ("ve/cifar10_ncsnpp_continuous", 2.38, 9.83),
            ("ve/cifar10_ncsnpp_deep_continuous", 2.20, 9.89),
        )
    ),
]

EVALUATIONS = (10, 20, 50, 1000)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-5)  # of the adaptive ODE, whose evaluations are counted afterwards


def digits(config: str, predictor: str, snr: float, end: float, fewest: int) -> list[Row]:
    """The samplers on one process, by evaluations. Those of score_sde are the config's own, as in the rows of the
    paper; its predictor-corrector needs `fewest` scales. snr is that of table 5."""
    uniform = "sampling.grid=uniform", f"sampling.grid.end={end}", "sampling.finish=clean"
    pair = (
        "sampling.solver=predictor_corrector",
        f"sampling.solver.predictor={predictor}",
        "sampling.solver.corrector=langevin",
        f"sampling.solver.corrector.snr={snr}",
    )
    fast = "sampling.solver=dpmpp_2m", "sampling.grid=karras", "sampling.finish=clean"
    samplers = {}
    for n in EVALUATIONS:
        samplers[f"predictor, {n}"] = published_sampler(predictor, "none", n, snr)
        samplers[f"predictor-corrector, {n}"] = (*pair, *uniform, f"sampling.steps={(n - 1) // 2 + 1}")
        samplers[f"DPM-Solver++(2M), {n}"] = (*fast, f"sampling.steps={n}")
        if n // 2 >= fewest:
            samplers[f"predictor-corrector (score_sde), {n}"] = published_sampler(predictor, "langevin", n // 2, snr)
    for tolerance in TOLERANCES:
        ode = "=probability_flow", f".rtol={tolerance}", f".atol={tolerance}", f".end={end}"
        samplers[f"ODE, tolerance {tolerance:g}"] = (*(f"sampling.solver{text}" for text in ode), *uniform)
    figures: dict[str, dict[str, float | None]] = {name: {"FDpix": None} for name in samplers}
    figures[f"ODE, tolerance {TOLERANCES[-1]:g}"]["bits/dim"] = None
    return [Row("digits", config, name, overrides, figures[name]) for name, overrides in samplers.items()]


DIGITS = [
    *digits("ve/digits_ncsnpp_continuous", "reverse_diffusion", 0.16, 1e-5, 2),
    *digits("vp/digits_ddpmpp_continuous", "euler_maruyama", 0.01, 1e-3, 21),
    *digits("subvp/digits_ddpmpp_continuous", "euler_maruyama", 0.01, 1e-3, 21),
]
