"""jaxgen likelihood: bits per dimension of a split."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array

from jaxgen.commands.model import Model, open_data
from jaxgen.evaluate.nll import bits_per_dim, mean_and_error
from jaxgen.evaluate.result import Result
from jaxgen.io.progress import progress
from jaxgen.parallel.batched import batched


def likelihood(model: Model, split: str | None, num: int | None, seed: int) -> str:
    """Every likelihood the model has, a line each."""
    found = results(model, split, num, seed)
    return "\n".join(f"{r.name}  {r.value:.4f} ± {r.error:.4f} {r.unit}, {r.n} images, {r.definition}" for r in found)


def check(model: Model) -> None:
    """Raises ValueError unless the model has a likelihood."""
    if model.recipe.log_prob is None and model.recipe.bound is None:
        judge = model.recipe.classifier is not None
        reason = "it is a classifier." if judge else "a classifier guides it. Drop --classifier for that of the model."
        raise ValueError(f"the model in {model.run.root} has no likelihood: {reason}")


def draw_of(fn: Callable[..., Array]) -> Callable[..., Array]:
    """fn(params, keys, x, cond) with the keys of the k-th draw of each example's noise: fold_in(key, k)."""

    def drawn(params: Any, keys: Array, x: Array, cond: Array | None, k: Array) -> Array:
        return fn(params, jax.vmap(jax.random.fold_in)(keys, k), x, cond)

    return drawn


def results(model: Model, split: str | None = None, num: int | None = None, seed: int = 0) -> list[Result]:
    """Bits/dim of the first `num` images of `split` (default: all of the test split), each averaged over
    likelihood.draws of its noise; the error is that of the mean over images."""
    check(model)
    config = model.run.config
    count = config.likelihood.draws
    split = split or config.data.test_split
    source = open_data(model.run, split)
    if source.spec.shape != model.run.spec.shape:
        raise ValueError(f"the model has images {model.run.spec.shape}, but {split} of the data {source.spec.shape}.")
    n = source.spec.size if num is None else min(num, source.spec.size)
    if n < 2:
        raise ValueError(f"the error of a mean likelihood needs at least 2 images, got {n}.")
    batch = source.records[np.arange(n)]
    arrays = batch["x"], batch["label"] if config.data.conditional else None
    draws = f"mean of {count} draw{'s' * (count > 1)} of noise"
    bins = "" if config.data.dequantize else f" in {config.likelihood.bins.name} bins"
    flow = f"probability flow, {config.likelihood.divergence.name} divergence, uniform dequantization{bins}, {draws}"
    kinds = {
        "bits_per_dim": (model.recipe.log_prob, flow),
        "bits_per_dim_bound": (model.recipe.bound, f"variational bound on the integers, {draws}"),
    }
    found = []
    for name, (fn, definition) in kinds.items():
        if fn is None:
            continue
        run, logp = batched(draw_of(fn)), np.zeros(n)
        with progress(n * count, unit="image") as show:
            for k in range(count):
                logp += run(
                    model.params,
                    seed,
                    (*arrays, np.full(n, k, np.int32)),
                    n,
                    config.sampling.batch_size,
                    lambda done, k=k: show.update(k * n + done),
                )
        value, error = mean_and_error(bits_per_dim(logp / count, math.prod(source.spec.shape)))
        found.append(Result(name, value, definition, n, error, "bits/dim", f"Likelihood of {split}"))
    return found
