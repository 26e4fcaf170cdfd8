"""jaxgen likelihood: bits per dimension of a split."""

import math

import numpy as np

from jaxgen.commands.model import Model, open_data
from jaxgen.evaluate.nll import bits_per_dim, mean_and_error
from jaxgen.evaluate.result import Result
from jaxgen.io.progress import progress
from jaxgen.parallel.batched import batched


def likelihood(model: Model, split: str | None, num: int | None, seed: int) -> str:
    """Every likelihood the model has, a line each."""
    found = results(model, split, num, seed)
    return "\n".join(f"{r.name}  {r.value:.4f} ± {r.error:.4f} {r.unit}, {r.n} images, {r.definition}" for r in found)


def results(model: Model, split: str | None = None, num: int | None = None, seed: int = 0) -> list[Result]:
    """Bits/dim of the first `num` images of `split` (default: all of the test split), each averaged over
    likelihood.draws of its noise; the error is that of the mean over images."""
    config = model.run.config
    count = config.likelihood.draws
    split = split or config.data.test_split
    source = open_data(model.run, split)
    if source.spec.shape != model.run.spec.shape:
        raise ValueError(f"the model has images {model.run.spec.shape}, but {split} of the data {source.spec.shape}.")
    n = min(num or source.spec.size, source.spec.size)
    if n < 2 or count < 1:
        raise ValueError(f"a likelihood needs at least 2 images and 1 draw of noise, got {n} and {count}.")
    batch = source.records[np.arange(n)]
    arrays = batch["x"], batch["label"] if config.data.conditional else None
    draws = f"mean of {count} draw{'s' * (count > 1)} of noise"
    flow = f"probability flow, {config.likelihood.divergence.name} divergence, uniform dequantization, {draws}"
    kinds = {
        "bits_per_dim": (model.recipe.log_prob, flow),
        "bits_per_dim_bound": (model.recipe.bound, f"variational bound on the integers, {draws}"),
    }
    found = []
    for name, (fn, definition) in kinds.items():
        if fn is None:
            continue
        run, logp = batched(fn), np.zeros(n)
        with progress(n * count, unit="image") as show:
            for k in range(count):
                logp += run(
                    model.params,
                    seed + k,
                    arrays,
                    n,
                    config.sampling.batch_size,
                    lambda done, k=k: show.update(k * n + done),
                )
        value, error = mean_and_error(bits_per_dim(logp / count, math.prod(source.spec.shape)))
        found.append(Result(name, value, definition, n, error, "bits/dim", f"Likelihood of {split}"))
    return found
