"""The network of the FID and of the Inception Score, Inception-v3 of 5 December 2015, with the input rules in use.

    images uint8 -> 299 x 299 by the rule's resizing -> (x - c) / c -> features [B, 2048], logits [B, 1008], ...

The rules move a FID by whole percents of small images, and are part of its name.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.extractors import resize
from jaxgen.evaluate.extractors.labels import published
from jaxgen.evaluate.stream.features import Extractor, Layers
from jaxgen.io.weights import open_weights
from jaxgen.models.recognition.inception import FILE, SIDE, InceptionV3, variables

ADDRESS = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"


class Input(NamedTuple):
    """Pixels to the network's input: `resized` to 299 x 299, then (x - centre) / centre."""

    resized: resize.Rule
    centre: float


RULES = {
    "tf1": Input(resize.tf1_bilinear, 128.0),  # of the graph itself: TTUR, torch-fidelity, guided-diffusion
    "tfgan": Input(resize.tf1_bilinear, 127.5),  # TF-GAN, of score_sde's figures and statistics
    "clean": Input(resize.pil_bicubic_float, 128.0),  # clean-fid
    "pytorch_fid": Input(resize.torch_bilinear, 127.5),
    "torchmetrics": Input(resize.torch_bilinear_antialiased, 128.0),  # from its version 1.8 on
}


def rule_of(name: str) -> Input:
    """The rule of this name."""
    if name not in RULES:
        *most, last = RULES
        raise ValueError(f"the input of the Inception network must be {', '.join(most)} or {last}, got {name!r}.")
    return RULES[name]


def open(path: str | os.PathLike | None, rule: str = "tf1") -> Extractor:
    """The network with the weights in the published file `path`, of pytorch-fid or torch-fidelity, or in the archive of
    StyleGAN2-ADA and clean-fid. Raises ValueError where it holds another network, and without a path, saying where to
    get it."""
    if path is None:
        raise ValueError(f"the Inception network needs its weights: fetch {ADDRESS} and pass --weights inception=PATH.")
    return extractor(*open_weights(path), rule)


def extractor(state: Mapping[str, np.ndarray], sha256: str, rule: str = "tf1") -> Extractor:
    """The network with the weights `state`, its published state dict, of a file with the checksum `sha256`."""
    resized, centre = rule_of(rule)

    def fn(params: Any, images: Array) -> Layers:
        x = resized(images.astype(jnp.float32), SIDE, SIDE)
        return layers(InceptionV3().apply(params, (x - centre) / centre))

    name = f"Inception-v3 2015-12-05, input {rule}, weights sha256 {sha256}, float32"
    label = published("Inception", (FILE, sha256))
    return Extractor(fn, variables(state), name, weights=sha256, label=label)


def layers(found: Any) -> Layers:
    """The network's Activations by the names of metrics."""
    named = found._asdict()
    return {"features": named.pop("pool2048"), **named}
