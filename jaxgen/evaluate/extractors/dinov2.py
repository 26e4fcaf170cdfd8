"""DINOv2 as a source of features: the network of FD-DINOv2.

    pixels -> 224 x 224 by Pillow, squashed -> (x / 255 - mean) / deviation -> "features" [B, d], the first token

Source: Stein et al. 2023, "Exposing flaws of generative model evaluation metrics" (2306.04675), with ViT-L/14 and its
code, dgm-eval; the table of places is spread by the rule of Meta's own code.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from jaxgen.evaluate.extractors.labels import UNVERIFIED, sized
from jaxgen.evaluate.stream.features import Extractor, Layers
from jaxgen.io.weights import Weights, open_weights
from jaxgen.models.recognition.dinov2 import DEVIATION, MEAN, dinov2, variables

SIDE = 224


def open(path: str | os.PathLike) -> Extractor:
    """The network with the weights in the published file `path`: dinov2_vitl14_pretrain.pth, or model.safetensors of
    the same. Raises ValueError where it is another network's."""
    return extractor(open_weights(path))


def extractor(weights: Weights, heads: int | None = None) -> Extractor:
    """See `open`; heads as `jaxgen.models.recognition.dinov2.dinov2` takes them."""
    network = dinov2(weights.state, heads)

    def fn(params: Any, images: Array) -> Layers:
        x = (images.astype(jnp.float32) / 255 - jnp.array(MEAN)) / jnp.array(DEVIATION)
        with jax.default_matmul_precision("highest"):
            tokens: Any = network.apply(params, x)
        return {"features": tokens[:, 0]}

    size = f"ViT width {network.width}, depth {network.depth}, patch {network.patch}"
    name = f"DINOv2 {size}, input {SIDE} px squashed, weights sha256 {weights.sha256}, float32{UNVERIFIED}"
    label = f"DINOv2-{sized(network.width, network.depth, network.patch)}"
    return Extractor(fn, variables(weights.state), name, squashed, weights.sha256, label=label)


def squashed(images: np.ndarray) -> np.ndarray:
    """uint8 [b, H, W, 3] -> uint8 [b, 224, 224, 3] whatever the proportions: bicubic with antialiasing, rounded after
    each of its two passes."""
    if images.shape[1:3] == (SIDE, SIDE):
        return images
    bicubic = Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(image).resize((SIDE, SIDE), bicubic)) for image in images])
