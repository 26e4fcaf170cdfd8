"""torchvision's Inception-v3 as a source of features, whose Fréchet distance is no FID.

    images uint8 -> 299 x 299, bilinear, not antialiased -> (x - 127.5) / 127.5 -> features [B, 2048], logits [B, 1000]

The mean and deviation of ImageNet that torchvision asks for, it undoes itself.
"""

import os
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxgen.evaluate.extractors.inception import layers
from jaxgen.evaluate.extractors.labels import published
from jaxgen.evaluate.extractors.resize import torch_bilinear
from jaxgen.evaluate.stream.features import Extractor, Layers
from jaxgen.io.weights import open_weights
from jaxgen.models.recognition.inception import SIDE
from jaxgen.models.recognition.torchvision_inception import NETWORK, variables

FILE = "inception_v3_google-0cc3c7bd.pth"


def open(path: str | os.PathLike) -> Extractor:
    """The network with the weights in torchvision's file `path`. Raises ValueError where it holds another network."""
    state, sha256 = open_weights(path)

    def fn(params: Any, images: Array) -> Layers:
        x = torch_bilinear(images.astype(jnp.float32), SIDE, SIDE)
        return layers(NETWORK.apply(params, (x - 127.5) / 127.5))

    name = f"torchvision's Inception-v3, weights sha256 {sha256}, float32"
    label = published("torchvision-Inception", (FILE, sha256))
    return Extractor(fn, variables(state), name, weights=sha256, label=label)
