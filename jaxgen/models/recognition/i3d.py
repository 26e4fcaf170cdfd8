"""I3D: GoogLeNet with its filters and pools grown in time, trained on Kinetics-400; the network of the FVD.

    x [B, T, H, W, 3] in [-1, 1] -> logits [B, 400], their mean over the times that the last pool leaves

Source: Carreira and Zisserman 2017, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset" (1705.07750),
figure 3, after Szegedy et al. 2015, "Going Deeper with Convolutions", table 1. Padding is TensorFlow's "SAME", which
depends on the size of the input. For inference only: `variables` folds batch normalization into the convolutions.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import Precision

from jaxgen.models.layers.conv import Conv
from jaxgen.models.recognition.folded import Published

FILE = "i3d_torchscript.pt"
SIDE, FEWEST_FRAMES = 224, 9  # the last pool takes 7 x 7 pixels of 1/32 the side, and 2 frames of 1/8 the rate
CLASSES = 400
BATCH_NORM_EPSILON = 1e-3

MIXED = {  # channels: 1x1; 1x1 - 3x3; 1x1 - 3x3; pool - 1x1
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


def convolve(x: Array, name: str, features: int, side: int = 1, stride: int = 1) -> Array:
    """relu(w * x + b), w cubic."""
    window, strides = (side,) * 3, (stride,) * 3
    return nn.relu(Conv(features, window, strides, precision=Precision.HIGHEST, name=name)(x))


def max_pool(x: Array, window: tuple[int, int, int], strides: tuple[int, int, int] = (1, 1, 1)) -> Array:
    """Maximum over those frames and pixels of the window that are there."""
    return nn.max_pool(x, window, strides, padding="SAME")


class Mixed(nn.Module):
    """Four branches side by side, of the channels in `MIXED`."""

    channels: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        one, thin, three, thinner, third, pooled = self.channels
        branches = (
            convolve(x, "b0", one),
            convolve(convolve(x, "b1a", thin), "b1b", three, 3),
            convolve(convolve(x, "b2a", thinner), "b2b", third, 3),
            convolve(max_pool(x, (3, 3, 3)), "b3b", pooled),
        )
        return jnp.concatenate(branches, axis=-1)


class I3D(nn.Module):
    """x [B, T, 224, 224, 3], T >= 9 -> logits [B, 400], float32 at the highest matmul precision."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = convolve(x, "Conv3d_1a_7x7", 64, 7, stride=2)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = convolve(x, "Conv3d_2b_1x1", 64)
        x = convolve(x, "Conv3d_2c_3x3", 192, 3)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        for block, channels in MIXED.items():
            if block == "4b":
                x = max_pool(x, (3, 3, 3), (2, 2, 2))
            if block == "5b":
                x = max_pool(x, (2, 2, 2), (2, 2, 2))
            x = Mixed(channels, name=f"Mixed_{block}")(x)
        x = nn.avg_pool(x, (2, 7, 7))
        logits = nn.Dense(CLASSES, precision=Precision.HIGHEST, name="logits")(x)
        return logits.mean((1, 2, 3))


def variables(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `I3D` out of a state dict of kinetics_i3d_pytorch, {"mixed_3b.branch_1.0.conv3d.weight": ...},
    or of pytorch-i3d, {"Mixed_3b.b1a.conv3d.weight": ...}.

    The network was checked against one that PyTorch computes from random weights under the first names. No published
    file was at hand: that the archive of StyleGAN-V has these names too is taken from its being made of that network,
    and one that has others is refused, as is every array that is missing, of another shape or of another network, with
    a ValueError.
    """
    published = Published(renamed(state), "I3D for Kinetics-400", FILE)

    def layer(name: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        if name != "logits":
            return published.folded(f"{name}.conv3d", f"{name}.bn", shape, BATCH_NORM_EPSILON)
        kernel = published.kernel("logits.conv3d.weight", 1, 1, 1, *shape).reshape(shape)
        return {"kernel": kernel, "bias": published.take("logits.conv3d.bias", CLASSES)}

    return published.variables(I3D(), (1, FEWEST_FRAMES, SIDE, SIDE, 3), layer)


LAYOUT = {
    "conv3d_0c_1x1.": "logits.",
    "conv3d_": "Conv3d_",
    "mixed_": "Mixed_",
    ".branch_0.": ".b0.",
    ".branch_1.0.": ".b1a.",
    ".branch_1.1.": ".b1b.",
    ".branch_2.0.": ".b2a.",
    ".branch_2.1.": ".b2b.",
    ".branch_3.1.": ".b3b.",
    ".batch3d.": ".bn.",
}


def renamed(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict of kinetics_i3d_pytorch under the names of pytorch-i3d, or this itself."""
    found = {}
    for name, array in state.items():
        for theirs, ours in LAYOUT.items():
            name = name.replace(theirs, ours)
        found[name] = array
    return found
