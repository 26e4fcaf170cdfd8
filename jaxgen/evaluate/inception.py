"""FID and Inception Score: the figures that rest on the Inception network of December 2015.

images -> 299 x 299 by `tf1_bilinear` -> (x - c) / c -> 2048 pooled features, 1008 logits
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.features import Extractor, Features, extract
from jaxgen.evaluate.frechet import Moments, frechet, merge, moments
from jaxgen.evaluate.inception_score import Sums, add, information, sums
from jaxgen.evaluate.resize import tf1_bilinear
from jaxgen.evaluate.result import Result
from jaxgen.io.weights import read_torch
from jaxgen.models.inception import SIDE, InceptionV3, parameters

FILE = "pt_inception-2015-12-05-6726825d.pth"
ADDRESS = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"

Running = tuple[Moments, Sums]  # of the images so far

INPUTS = {"tf1": 128.0, "tfgan": 127.5}


def extractor(state: Mapping[str, np.ndarray], sha256: str, rule: str = "tf1") -> Extractor:
    """The network with the weights `state`, its published state dict, of a file with the checksum `sha256`.

    The c above is 128 for the rule "tf1", that of the graph itself (TTUR, torch-fidelity, guided-diffusion), and 127.5
    for "tfgan", that of score_sde's figures and statistics. They move the features by half a percent.
    """
    centre = centre_of(rule)

    def fn(params: Any, images: Array) -> Features:
        x = tf1_bilinear(images.astype(jnp.float32), SIDE, SIDE)
        found: Any = InceptionV3().apply(params, (x - centre) / centre)
        return Features(found.pool2048, found.logits)

    return Extractor(fn, parameters(state), f"Inception-v3 2015-12-05, input {rule}, weights sha256 {sha256}")


def centre_of(rule: str) -> float:
    """The c of this rule."""
    if rule not in INPUTS:
        raise ValueError(f"the input of the Inception network must be {' or '.join(INPUTS)}, got {rule!r}.")
    return INPUTS[rule]


def open_extractor(path: str | os.PathLike | None, rule: str = "tf1") -> Extractor:
    """The network with the weights in the published file `path`. Raises ValueError where it holds another network, and
    without a path, saying where to get it."""
    if path is None:
        raise ValueError(f"fid and is need the weights of the Inception network: fetch {ADDRESS} and pass --inception.")
    state = read_torch(Path(path))
    if not isinstance(state, dict):
        raise ValueError(f"expected the state dict of the Inception network in {path}, got a {type(state).__name__}.")
    with open(path, "rb") as file:
        return extractor(state, hashlib.file_digest(file, "sha256").hexdigest(), rule)


def measure(
    network: Extractor,
    images: Iterable[np.ndarray],
    done: Callable[[int], None],
    before: Running | None = None,
    keep: Callable[[Running], None] = lambda running: None,
) -> Running:
    """Moments of the features of a stream of images (see `extract`), and the sums of their scores. `keep` is given them
    a thousand images at a time; `before` is what it was given last of the same stream, whose images are passed by."""
    passed = 0 if before is None else int(before[0].n)
    running = before
    for features in extract(network, rest(images, passed), lambda count: done(passed + count)):
        m, s = moments(features.pooled), sums(features.logits)
        running = (m, s) if running is None else (merge(running[0], m), add(running[1], s))
        keep(running)
    if running is None:
        raise ValueError("there are no images to measure: take a larger --num.")
    return running


def rest(parts: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The rows of `parts` after the first `count`."""
    for part in parts:
        yield part[count:]
        count = max(0, count - len(part))


def fid(network: Extractor, generated: Moments, reference: Moments, against: str) -> Result:
    """The Fréchet distance of the features (Heusel et al. 2017, eq. 6); `against` says of what the reference is."""
    definition = (
        f"Fréchet distance of Gaussian fits to 2048 features, ddof 1, against {against}; biased upwards by about 1/n, "
        "published for n = 50,000"
    )
    return Result("FID", frechet(generated, reference), definition, int(generated.n), protocol=network.name)


def score(network: Extractor, s: Sums) -> Result:
    """The Inception Score of all images at once (Salimans et al. 2016)."""
    definition = "exp of the mutual information of image and class, 1008 classes, in one split"
    return Result("IS", math.exp(information(s)), definition, int(s.n), protocol=network.name)
