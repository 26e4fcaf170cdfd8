"""VGG16, as a source of features.

    conv 3x3 - relu, twice or three times, then a 2x2 maximum: 64, 128, 256, 512, 512 channels
    fc1 - relu - fc2 - relu: 4096 features of an image of 224 x 224 pixels

Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (1409.1556),
table 1, column D. Weights as torchvision publishes them, in features.0 ... features.28, classifier.0 and classifier.3.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import numpy as np
from jax import Array

from jaxgen.models.layers.conv import Conv
from jaxgen.models.recognition import torchvision

STAGES = (64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)
SIDE, GRID = 224, 7  # of the image and, after all maxima, of what fc1 sees
LAYERS = tuple(f"conv{i + 1}_{k + 1}" for i, stage in enumerate(STAGES) for k in range(len(stage)))
PUBLISHED = tuple(f"features.{at}" for at in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28))
NETWORK = "VGG16 (torchvision's vgg16-397923af.pth)"


def halved(x: Array) -> Array:
    """The maximum of every 2x2 pixels."""
    return nn.max_pool(x, (2, 2), (2, 2))


class VGG16(nn.Module):
    """x: [B, H, W, 3], of mean 0 and deviation 1 a channel over ImageNet -> the five [B, H / 2^i, W / 2^i, C_i] before
    each `pool`."""

    pool: Callable[[Array], Array] = halved

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, ...]:
        shown = []
        for i, stage in enumerate(STAGES):
            x = self.pool(x) if i else x
            for k, features in enumerate(stage):
                x = nn.relu(Conv(features, (3, 3), name=f"conv{i + 1}_{k + 1}")(x))
            shown.append(x)
        return tuple(shown)


class Classifier(nn.Module):
    """The last features of `VGG16` of an image of 224 x 224, [B, 14, 14, 512] -> fc1, fc2 [B, width], rectified."""

    width: int = 4096

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        fc1 = nn.relu(nn.Dense(self.width, name="fc1")(halved(x).reshape(len(x), -1)))
        return fc1, nn.relu(nn.Dense(self.width, name="fc2")(fc1))


FULL = Classifier()


def variables(state: Mapping[str, Any], names: Sequence[str] = PUBLISHED, network: str = NETWORK) -> dict[str, Any]:
    """The variables of `VGG16` in torchvision's state dict, or in one that calls its convolutions `names`. Raises
    ValueError where it is another network's."""
    return torchvision.variables(VGG16(), (1, 32, 32, 3), dict(zip(LAYERS, names, strict=True)), state, network)


def classifier(state: Mapping[str, Any], module: Classifier = FULL) -> dict[str, Any]:
    """The variables of `Classifier` in torchvision's state dict, whose fc1 sees channels before rows and columns."""
    channels, first = STAGES[-1][-1], "classifier.0.weight"
    weight = np.asarray(state.get(first, ()))
    if weight.shape == (module.width, channels * GRID**2):
        last = np.moveaxis(weight.reshape(-1, channels, GRID, GRID), 1, -1)
        state = {**state, first: last.reshape(weight.shape)}
    names = {"fc1": "classifier.0", "fc2": "classifier.3"}
    return torchvision.variables(module, (1, 2 * GRID, 2 * GRID, channels), names, state, NETWORK)
