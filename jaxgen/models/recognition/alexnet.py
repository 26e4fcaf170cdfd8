"""AlexNet of one column, up to its last convolution, as a source of features.

    conv 11x11 / 4 - relu - pool - conv 5x5 - relu - pool - (conv 3x3 - relu) three times: 64, 192, 384, 256, 256

Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks" (1404.5997), section 5.
Weights as torchvision publishes them, in features.0 ... features.10.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
from jax import Array

from jaxgen.models.layers.conv import Conv
from jaxgen.models.recognition import torchvision

PUBLISHED = tuple(f"features.{at}" for at in (0, 3, 6, 8, 10))
NETWORK = "AlexNet (torchvision's alexnet-owt-7be5be79.pth)"


def halved(x: Array) -> Array:
    """The maximum of 3x3 pixels at every second one."""
    return nn.max_pool(x, (3, 3), (2, 2))


class AlexNet(nn.Module):
    """x: [B, H, W, 3], of mean 0 and deviation 1 a channel over ImageNet -> the five rectified outputs, the first
    [B, (H - 7) // 4 + 1, (W - 7) // 4 + 1, 64].

    reduced: the first convolution, of this stride, is seen through it before it is rectified.
    """

    stride: int = 4
    reduced: Callable[[Array], Array] = lambda x: x
    pool: Callable[[Array], Array] = halved

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, ...]:
        x = Conv(64, (11, 11), self.stride, 2, name="conv1")(x)
        one = nn.relu(self.reduced(x))
        two = nn.relu(Conv(192, (5, 5), padding=2, name="conv2")(self.pool(one)))
        three = nn.relu(Conv(384, (3, 3), name="conv3")(self.pool(two)))
        four = nn.relu(Conv(256, (3, 3), name="conv4")(three))
        return one, two, three, four, nn.relu(Conv(256, (3, 3), name="conv5")(four))


def variables(state: Mapping[str, Any], names: Sequence[str] = PUBLISHED, network: str = NETWORK) -> dict[str, Any]:
    """The variables of `AlexNet` in torchvision's state dict, or in one that calls its convolutions `names`. Raises
    ValueError where it is another network's."""
    layers = {f"conv{i + 1}": name for i, name in enumerate(names)}
    return torchvision.variables(AlexNet(), (1, 64, 64, 3), layers, state, network)
