"""VGG16 up to its last rectifier, as a source of features.

    conv3 - relu, twice or three times, then a 2x2 maximum: 64, 128, 256, 512, 512 channels

Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (1409.1556),
table 1, column D. Weights as torchvision publishes them, in features.0 ... features.28.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np
from jax import Array

from jaxgen.models.layers.conv import Conv

STAGES = (64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)


class VGG16(nn.Module):
    """x: [B, H, W, 3], of mean 0 and deviation 1 a channel over ImageNet -> the five [B, H / 2^i, W / 2^i, C_i] before
    each maximum."""

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, ...]:
        shown = []
        for i, stage in enumerate(STAGES):
            x = nn.max_pool(x, (2, 2), (2, 2)) if i else x
            for k, features in enumerate(stage):
                x = nn.relu(Conv(features, (3, 3), name=f"conv{i + 1}_{k + 1}")(x))
            shown.append(x)
        return tuple(shown)


def variables(state: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `VGG16` in torchvision's state dict, whose classifier is passed by. Raises ValueError where it
    is another network's."""
    params: dict[str, Any] = {}
    at, inputs = 0, 3
    for i, stage in enumerate(STAGES):
        for k, features in enumerate(stage):
            weight, bias = (np.asarray(state.get(f"features.{at}.{leaf}", ())) for leaf in ("weight", "bias"))
            if weight.shape != (features, inputs, 3, 3) or bias.shape != (features,):
                raise ValueError(
                    f"expected the weights of VGG16 with features.{at}.weight of shape {(features, inputs, 3, 3)}, got "
                    f"{weight.shape}: take torchvision's vgg16-397923af.pth."
                )
            params[f"conv{i + 1}_{k + 1}"] = {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}
            at, inputs = at + 2, features
        at += 1
    return {"params": params}
