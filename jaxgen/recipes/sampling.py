"""How a diffusion model draws images: the section "sampling" of its configuration."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from jaxgen.conditioning import Control
from jaxgen.configuration import expect
from jaxgen.data import Spec
from jaxgen.denoiser import Denoiser
from jaxgen.guidance import classifier_free, interval
from jaxgen.recipes import names
from jaxgen.recipes.invoke import invoke
from jaxgen.sampling.sample import Finish, Solver, evaluations, last_mean, sample
from jaxgen.sde import SDE

PLAIN = Control()


def process(section: ConfigDict, where: str, trained: SDE) -> SDE:
    """The process that the section `where` solves with a network that was `trained` on one nearly the same: a table of
    times and the continuous process behind it. The network is told of a time what it was told in training; all else is
    read off the process solved. Raises ValueError for another process, on which its predictions mean nothing."""
    solved = invoke(names.SOLVED, section.sde, f"{where}.sde", trained=trained)
    with jax.ensure_compile_time_eval():
        t = jnp.linspace(max(trained.t0, solved.t0), trained.t1, 33)
        if solved.t1 != trained.t1 or not agree(trained, solved, t, rtol=0.05, atol=0.05):
            raise ValueError(
                f"{where}.sde={section.sde.name} is another process than the network was trained on: leave it out, or "
                "take the continuous process behind a table, vp for ddpm and ve for ncsn."
            )
    return solved


def agree(a: SDE, b: SDE, t: Array, rtol: float, atol: float) -> bool:
    """Whether alpha and sigma of both processes are the same at the times t, within the tolerances of `np.allclose`."""
    pairs = (a.alpha(t), b.alpha(t)), (a.sigma(t), b.sigma(t))
    return all(np.allclose(one, other, rtol=rtol, atol=atol) for one, other in pairs)


def sampler(config: ConfigDict, sde: SDE, spec: Spec, null: int | None) -> tuple[Callable[..., Any], int | None]:
    """draw(denoiser, keys [B], cond, control, trajectory=False) as `config` says, and how often it calls the
    network."""
    guided, passes = guidance(config, null)
    solver = invoke(names.SOLVERS, config.solver, "sampling.solver", sde=sde, n=config.steps)
    finish = invoke(names.FINISHES, config.finish, "sampling.finish", sde=sde, n=config.steps)
    grid = invoke(names.GRIDS, config.grid, "sampling.grid")
    stepwise = isinstance(solver, Solver)
    if stepwise:
        check_steps(config, solver, finish, spec)

    def draw(den: Denoiser, keys: Array, cond: Any = None, control: Control = PLAIN, trajectory: bool = False) -> Any:
        den = control.denoiser(guided(den))
        shape, end = (keys.shape[0], *spec.shape), control.finish(finish)
        if stepwise:
            steps = solver if control.solver is None else control.solver(solver)
            return sample(den, steps, grid(sde, config.steps), keys, shape, cond, trajectory=trajectory, finish=end)
        if control.solver is not None:
            raise ValueError(
                f"{config.solver.name} chooses its own steps, but replacement and dps act after every step: take "
                "another --sampler, such as ancestral, or guidance (--method=pigdm)."
            )
        return solver(den, keys, shape, cond=cond, finish=end)

    if not stepwise:
        return draw, None
    times = jax.eval_shape(lambda: grid(sde, config.steps))
    return draw, evaluations(solver, len(times), finish) * passes


def guidance(config: ConfigDict, null: int | None) -> tuple[Callable[[Denoiser], Denoiser], int]:
    """Classifier-free guidance as `config` says, and the evaluations that it makes of one."""
    rule, within = classifier_free(config.guidance, null), config.guidance_interval
    if within is not None:
        low, high = pair("sampling.guidance_interval", within)
        rule = interval(rule, low, high)
    if config.guidance == 1:
        return lambda den: den, 1
    if null is None:
        raise ValueError(
            "sampling.guidance needs a class-conditional model that also knows no class: train with "
            "data.conditional=True and loss.drop_condition=0.1."
        )
    return rule, 2 + (within is not None)


def check_steps(config: ConfigDict, solver: Solver, finish: Finish, spec: Spec) -> None:
    """Raises ValueError where a solver does not go along its grid, or leaves nothing to finish with."""
    if config.grid.name == "score_sde" and config.solver.name != "score_sde":
        raise ValueError(
            f"sampling.grid=score_sde ends at time 0, where only sampling.solver=score_sde can go, got "
            f"{config.solver.name}: take sampling.grid=log_snr and sampling.finish=clean (--sampler does both)."
        )
    if config.solver.name == "score_sde" and config.grid.name != "score_sde":
        raise ValueError(
            f"sampling.solver=score_sde takes steps of 1/n along sampling.grid=score_sde, got {config.grid.name}: take "
            "that grid and sampling.finish=last_mean, or sampling.solver=predictor_corrector."
        )
    start = jax.ShapeDtypeStruct((1, *spec.shape), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32)
    if finish is last_mean and not isinstance(jax.eval_shape(solver.init, *start), jax.ShapeDtypeStruct):
        raise ValueError(
            f"sampling.finish=last_mean needs a solver that adds noise to a mean, such as ancestral, got "
            f"{config.solver.name}: take sampling.finish=clean."
        )


def in_place(config: ConfigDict, solver: str) -> list[str]:
    """What --sampler=`solver` overrides in the section "sampling": the solver, and score_sde's grid, which no other
    solver goes along, by log_snr down to the same end, with the finish that all solvers have."""
    taken = {"solver": solver}
    if config.grid.name == "score_sde" and solver != "score_sde":
        taken |= {"grid": "log_snr", "grid.end": config.grid.get("end", 1e-3), "finish": "clean"}
    return [f"sampling.{key}={value}" for key, value in taken.items()]


def pair(where: str, value: Any) -> tuple[float, float]:
    """Two numbers in ascending order."""
    if isinstance(value, list | tuple) and len(value) == 2:
        low, high = (expect(where, float, one) for one in value)
        if low < high:
            return low, high
    raise ValueError(f"{where} must be two numbers (low, high) with low < high, got {value!r}.")
