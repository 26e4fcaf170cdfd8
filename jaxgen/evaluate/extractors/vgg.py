"""VGG16's last hidden layer: the features of improved precision and recall.

    images -> 224 x 224 by `tf1_bilinear` -> (pixel / 255 - mean) / deviation of ImageNet -> fc2, rectified, 4096

Source: Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models" (1904.06991),
section 2.1; the rule of the input is torch-fidelity's.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.extractors.labels import published
from jaxgen.evaluate.extractors.resize import tf1_bilinear
from jaxgen.evaluate.stream.features import Extractor, Layers
from jaxgen.io.weights import open_weights
from jaxgen.models.recognition.vgg import FULL, SIDE, VGG16, Classifier, classifier, variables

ADDRESS = "https://download.pytorch.org/models/vgg16-397923af.pth"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels / 255


def open(path: str | os.PathLike | None) -> Extractor:
    """The network with the weights in torchvision's file `path`. Raises ValueError where it holds another network, and
    without a path, saying where to get it."""
    if path is None:
        raise ValueError(f"VGG16 needs its weights: fetch {ADDRESS} and pass --weights vgg=PATH.")
    return extractor(*open_weights(path))


def extractor(state: Mapping[str, np.ndarray], sha256: str, head: Classifier = FULL) -> Extractor:
    """The network with the weights `state`, torchvision's state dict, of a file with the checksum `sha256`."""
    params = {"trunk": variables(state), "classifier": classifier(state, head)}

    def fn(params: Any, images: Array) -> Layers:
        x = tf1_bilinear(images.astype(jnp.float32), SIDE, SIDE) / 255
        with jax.default_matmul_precision("highest"):
            *_, last = VGG16().apply(params["trunk"], (x - jnp.array(MEAN)) / jnp.array(DEVIATION))
            fc1, fc2 = head.apply(params["classifier"], last)
        return {"features": fc2, "fc1": fc1}

    name = f"VGG16 fc2 after its rectifier, input tf1 to 224 px, weights sha256 {sha256}, float32"
    return Extractor(fn, params, name, weights=sha256, label=published("VGG", (ADDRESS, sha256)))
