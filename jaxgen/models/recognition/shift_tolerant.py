"""AlexNet and VGG16 that hardly notice a shift: whatever leaves out every second pixel blurs first.

    b = w * x / 2,  w = (1, 2, 1) (1, 2, 1)^T / 16, over borders of 2 reflected pixels

Source: Ghildyal and Liu 2022, "Shift-tolerant Perceptual Similarity Metric" (2207.13686), section 3; the blur of Zhang
2019, "Making Convolutional Networks Shift-Invariant Again" (1904.11486). Weights as the package stlpips-pytorch has
them, in net.slice1.0 ... net.slice5.32.
"""

import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.models.recognition import alexnet, vgg
from jaxgen.upfirdn import upfirdn2d

NETWORK = "shift-tolerant {} ({}_shift_tolerant.pth of stlpips-pytorch)"


def blurred(x: Array) -> Array:
    """[B, H, W, C] -> [B, H // 2 + 1, W // 2 + 1, C], H and W 3 at least."""
    return upfirdn2d(jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect"), np.array([0.25, 0.5, 0.25]), down=2)


def alex() -> alexnet.AlexNet:
    return alexnet.AlexNet(1, blurred, lambda x: blurred(nn.max_pool(x, (3, 3))))


def vgg16() -> vgg.VGG16:
    return vgg.VGG16(lambda x: blurred(nn.max_pool(x, (2, 2))))


def alex_variables(state: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `alex`. Raises ValueError where the state dict is another network's."""
    return alexnet.variables(state, convolutions(state, alexnet.PUBLISHED), NETWORK.format("AlexNet", "alex"))


def vgg16_variables(state: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `vgg16`. Raises ValueError where the state dict is another network's."""
    return vgg.variables(state, convolutions(state, vgg.PUBLISHED), NETWORK.format("VGG16", "vgg"))


def convolutions(state: Mapping[str, Any], like: tuple[str, ...]) -> list[str]:
    """The names of the convolutions of the state dict in their order, where they are as many as `like`; else `like`."""
    places = sorted(
        (int(n), s) for s, n in re.findall(r"net\.slice(\d)\.(\d+)\.weight\n", "".join(f"{k}\n" for k in state))
    )
    return [f"net.slice{s}.{n}" for n, s in places] if len(places) == len(like) else list(like)
