"""SqueezeNet 1.1 up to its last fire module, as a source of features.

    fire(x) = [relu(conv 1x1 s), relu(conv 3x3 s)],  s = relu(conv 1x1 x)

Source: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size"
(1602.07360), table 1, with the smaller first layer and earlier maxima of its release 1.1. Weights as torchvision
publishes them, in features.0 ... features.12.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgen.models.layers.frozen_conv import Conv
from jaxgen.models.recognition import torchvision

STAGES = (
    ((3, 16, 64), (4, 16, 64)),
    ((6, 32, 128), (7, 32, 128)),
    ((9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)),
)  # place, squeeze and expand of fires, each stage behind a maximum
SHOWN = 4, 7, 9, 10, 11, 12  # whose outputs are features
NETWORK = "SqueezeNet 1.1 (torchvision's squeezenet1_1-b8a52dc0.pth)"


def halved(x: Array) -> Array:
    """The maximum of 3x3 pixels at every second one; a window may reach beyond the last row and column."""
    return nn.max_pool(x, (3, 3), (2, 2), [(0, 1 - size % 2) for size in x.shape[1:3]])


class Fire(nn.Module):
    """[B, H, W, C] -> [B, H, W, 2 expand]"""

    squeeze: int
    expand: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        s = nn.relu(Conv(self.squeeze, (1, 1), name="squeeze")(x))
        expanded = (Conv(self.expand, (k, k), name=f"expand{k}x{k}")(s) for k in (1, 3))
        return nn.relu(jnp.concatenate(list(expanded), axis=-1))


class SqueezeNet(nn.Module):
    """x: [B, H, W, 3], of mean 0 and deviation 1 a channel over ImageNet -> features after the first convolution and
    six of the fires, of 64, 128, 256, 384, 384, 512, 512 channels."""

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, ...]:
        x = nn.relu(Conv(64, (3, 3), 2, "VALID", name="0")(x))
        shown = [x]
        for stage in STAGES:
            x = halved(x)
            for at, squeeze, expand in stage:
                x = Fire(squeeze, expand, name=f"{at}")(x)
                shown += [x] if at in SHOWN else []
        return tuple(shown)


def variables(state: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `SqueezeNet` in torchvision's state dict, whose classifier is passed by. Raises ValueError where
    it is another network's."""
    fires = (f"{at}.{layer}" for stage in STAGES for at, *_ in stage for layer in ("squeeze", "expand1x1", "expand3x3"))
    names = {layer: f"features.{layer}" for layer in ("0", *fires)}
    return torchvision.variables(SqueezeNet(), (1, 64, 64, 3), names, state, NETWORK)
