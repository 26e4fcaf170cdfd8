"""All that decides what a model computes, as JSON: rows on disk are its answer to exactly this."""

import hashlib
from typing import Any

import jax
import numpy as np

import jaxgen
from jaxgen.commands.model import Model
from jaxgen.configuration import plain
from jaxgen.io import fingerprint

APART = ("seed", "optimizer", "ema", "train", "parallel")  # sections that a trained model no longer depends on


def of_model(model: Model, *leave: str) -> dict[str, Any]:
    """The model, its weights and the versions it runs on, without the sections `leave` of its configuration."""
    run = model.run
    config = {key: value for key, value in plain(run.config).items() if key not in (*APART, *leave)}
    statistics = None if run.statistics is None else [run.statistics.sigma_data, digest(run.statistics.mean)]
    return {
        "jaxgen": jaxgen.__version__,
        "jax": jax.__version__,
        "step": model.step,
        "weights": fingerprint.of_document(fingerprint.of_arrays(model.params)),
        "dtype": run.config.parallel.dtype,
        "statistics": statistics,
        **config,
        "guide": dict(model.guide),
    }


def of_samples(model: Model, seed: int, labels: np.ndarray | None) -> dict[str, Any]:
    """Of images that are drawn."""
    return {"seed": seed, "labels": None if labels is None else digest(labels), **of_model(model, "likelihood")}


def of_likelihood(model: Model, kind: str, split: str, images: int, seed: int) -> dict[str, Any]:
    """Of log P(x) of a split, in any one draw of its noise: their number decides none of them."""
    asked = of_model(model, "sampling")
    likelihood = {key: value for key, value in asked["likelihood"].items() if key != "draws"}
    return {"kind": kind, "split": split, "images": images, "seed": seed, **asked, "likelihood": likelihood}


def digest(array: np.ndarray) -> str:
    """SHA-256 of the numbers of an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
