"""What a classifier of noisy images gets right, by noise level: what jaxgen evaluate says of one."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen import gaussian
from jaxgen.commands.model import Model, open_data
from jaxgen.evaluate.pictures.picture import Picture
from jaxgen.evaluate.result import Result
from jaxgen.io import plots
from jaxgen.parallel.batched import batched
from jaxgen.sde import expand

NOISE = 0xACC0  # salt


def accuracy(model: Model, seed: int) -> tuple[list[Result], list[Picture]]:
    """The accuracy on the test split at noise levels 1, 2 and 5 of every decade of the process, and its curve."""
    enter, judge = model.recipe.enter, model.recipe.classifier
    if enter is None or judge is None:
        raise ValueError(f"{model.run.root} holds no classifier: accuracy is for family=classifier.")
    config = model.run.config
    source = open_data(model.run, config.data.test_split)
    if source.spec.shape != model.run.spec.shape or source.spec.num_classes != model.run.spec.num_classes:
        raise ValueError(
            f"the classifier knows {model.run.spec.num_classes} classes of images {model.run.spec.shape}, but "
            f"{config.data.test_split} has {source.spec.num_classes} of {source.spec.shape}."
        )
    sde, n = judge(model.params).sde, source.spec.size

    def right(params: Any, keys: Array, x: Array, label: Array, t: Array) -> Array:
        noise = gaussian.noise(keys, NOISE, x.shape[1:])
        mean, std = sde.marginal(enter(keys, x), t)
        return jnp.argmax(judge(params).fn(mean + expand(std, mean) * noise, t), axis=-1) == label

    def images(rows: np.ndarray, time: Array) -> tuple[np.ndarray, ...]:
        batch = source.records[rows]
        return batch["x"], batch["label"], np.full(len(rows), time, np.float32)

    run, shares = batched(right, model.mesh), []
    levels = decades(*np.exp(-0.5 * np.asarray(sde.log_snr(jnp.asarray([sde.t0, sde.t1])))))
    for level in levels:
        time = sde.time_at(jnp.asarray(-2 * np.log(level), jnp.float32))
        hits = run(model.params, seed, partial(images, time=time), n, config.sampling.batch_size)
        shares.append(float(hits.mean()))
    results = [
        Result(
            f"accuracy_at_{level:g}",
            share,
            f"share of classes that are right at sigma/alpha = {level:g}",
            n,
            float(np.sqrt(share * (1 - share) / n)),
            protocol=f"Classifier on {config.data.test_split}, one draw of noise an image",
        )
        for level, share in zip(levels, shares, strict=True)
    ]
    chance = np.full(len(levels), 1 / (source.spec.num_classes or 1))
    curve = plots.level_curves({"classifier": (levels, shares), "chance": (levels, chance)}, "accuracy")
    return results, [Picture("Accuracy", curve, "Share of test images whose class is right, by the noise on them.")]


def decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times every power of ten in [low, high], ascending."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [level for p in powers for level in (float(f"{k}e{p}") for k in (1, 2, 5)) if low <= level <= high]
