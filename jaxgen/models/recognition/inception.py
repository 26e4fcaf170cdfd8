"""Inception-v3 as frozen on 5 December 2015: the network of the FID and of the Inception Score.

    x [B, 299, 299, 3] in [-1, 1] -> Activations: pooled features at four depths, and logits

The TensorFlow graph differs from the network of Szegedy et al. 2016, "Rethinking the Inception Architecture for
Computer Vision", figures 5 to 7, in that average pools leave the border out of their mean, the last block pools by
maximum, and there are 1008 classes. For inference only: batch normalization is folded into the convolutions by
`variables`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import Precision

from jaxgen.models.layers.frozen_conv import Conv
from jaxgen.models.recognition.folded import Published
from jaxgen.models.recognition.inception_names import is_archive, renamed

FILE = "pt_inception-2015-12-05-6726825d.pth"
Pool = Callable[[Array], Array]

BATCH_NORM_EPSILON = 1e-3
SIDE = 299


class Activations(NamedTuple):
    """Means over the pixels after the first and second pooling, block 6e and block 7c; what sFID compares; logits.

    `spatial` is the first 7 channels of block 6d, [B, 17, 17, 7] flattened. `logits` are without the bias of the last
    layer, as the graph has them.
    """

    pool64: Array
    pool192: Array
    pool768: Array
    pool2048: Array
    spatial: Array
    logits: Array


def convolve(
    x: Array, name: str, features: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, padding: str = "SAME"
) -> Array:
    """relu(w * x + b)"""
    return nn.relu(Conv(features, kernel, stride, padding, precision=Precision.HIGHEST, name=name)(x))


def convolve_inside(x: Array, name: str, features: int, stride: int = 1) -> Array:
    """relu(w * x + b), w 3x3, where all of w lies inside the image."""
    return convolve(x, name, features, (3, 3), stride, "VALID")


def mean_pool(x: Array) -> Array:
    """Mean over those of the 3x3 neighbours that are in the image."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def bordered_mean_pool(x: Array) -> Array:
    """Mean over the 3x3 neighbours, zero outside the image."""
    return nn.avg_pool(x, (3, 3), padding="SAME")


def max_pool(x: Array) -> Array:
    """Maximum over the 3x3 neighbours that are in the image."""
    return nn.max_pool(x, (3, 3), padding="SAME")


def halve(x: Array) -> Array:
    """Maximum over 3x3 pixels at every second one."""
    return nn.max_pool(x, (3, 3), (2, 2))


def join(*branches: Array) -> Array:
    """Branches side by side on the channel axis."""
    return jnp.concatenate(branches, axis=-1)


class BlockA(nn.Module):
    """35x35: 1x1, 5x5, twice 3x3 and pooled branches; 224 + `pooled` channels."""

    pooled: int
    pool: Pool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        five = convolve(x, "branch5x5_1", 48)
        five = convolve(five, "branch5x5_2", 64, (5, 5))
        three = convolve(x, "branch3x3dbl_1", 64)
        three = convolve(three, "branch3x3dbl_2", 96, (3, 3))
        three = convolve(three, "branch3x3dbl_3", 96, (3, 3))
        pooled = convolve(self.pool(x), "branch_pool", self.pooled)
        return join(convolve(x, "branch1x1", 64), five, three, pooled)


class BlockB(nn.Module):
    """35x35 -> 17x17; 480 channels more."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = convolve(x, "branch3x3dbl_1", 64)
        three = convolve(three, "branch3x3dbl_2", 96, (3, 3))
        three = convolve_inside(three, "branch3x3dbl_3", 96, stride=2)
        return join(convolve_inside(x, "branch3x3", 384, stride=2), three, halve(x))


class BlockC(nn.Module):
    """17x17: 7x7 convolutions as rows and columns, `inner` channels between them; 768 channels."""

    inner: int
    pool: Pool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        seven = convolve(x, "branch7x7_1", self.inner)
        seven = convolve(seven, "branch7x7_2", self.inner, (1, 7))
        seven = convolve(seven, "branch7x7_3", 192, (7, 1))
        twice = convolve(x, "branch7x7dbl_1", self.inner)
        twice = convolve(twice, "branch7x7dbl_2", self.inner, (7, 1))
        twice = convolve(twice, "branch7x7dbl_3", self.inner, (1, 7))
        twice = convolve(twice, "branch7x7dbl_4", self.inner, (7, 1))
        twice = convolve(twice, "branch7x7dbl_5", 192, (1, 7))
        return join(convolve(x, "branch1x1", 192), seven, twice, convolve(self.pool(x), "branch_pool", 192))


class BlockD(nn.Module):
    """17x17 -> 8x8; 512 channels more."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = convolve(x, "branch3x3_1", 192)
        three = convolve_inside(three, "branch3x3_2", 320, stride=2)
        seven = convolve(x, "branch7x7x3_1", 192)
        seven = convolve(seven, "branch7x7x3_2", 192, (1, 7))
        seven = convolve(seven, "branch7x7x3_3", 192, (7, 1))
        seven = convolve_inside(seven, "branch7x7x3_4", 192, stride=2)
        return join(three, seven, halve(x))


class BlockE(nn.Module):
    """8x8: 3x3 convolutions as a row beside a column; 2048 channels."""

    pool: Pool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        def crossed(y: Array, name: str) -> Array:
            return join(convolve(y, f"{name}a", 384, (1, 3)), convolve(y, f"{name}b", 384, (3, 1)))

        three = crossed(convolve(x, "branch3x3_1", 384), "branch3x3_2")
        twice = convolve(x, "branch3x3dbl_1", 448)
        twice = crossed(convolve(twice, "branch3x3dbl_2", 384, (3, 3)), "branch3x3dbl_3")
        pooled = convolve(self.pool(x), "branch_pool", 192)
        return join(convolve(x, "branch1x1", 320), three, twice, pooled)


class InceptionV3(nn.Module):
    """x [B, 299, 299, 3] = (pixel - 128) / 128 -> Activations, float32 at the highest matmul precision.

    The defaults are those of the graph: `pool` is that inside the blocks, `last` that of block 7c.
    """

    pool: Pool = mean_pool
    last: Pool = max_pool
    classes: int = 1008
    bias: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Activations:
        def pixel_mean(x: Array) -> Array:
            return x.mean((1, 2))

        x = convolve_inside(x, "Conv2d_1a_3x3", 32, stride=2)
        x = convolve_inside(x, "Conv2d_2a_3x3", 32)
        x = halve(convolve(x, "Conv2d_2b_3x3", 64, (3, 3)))
        pool64 = pixel_mean(x)
        x = convolve(x, "Conv2d_3b_1x1", 80)
        x = halve(convolve_inside(x, "Conv2d_4a_3x3", 192))
        pool192 = pixel_mean(x)
        x = BlockA(32, self.pool, name="Mixed_5b")(x)
        x = BlockA(64, self.pool, name="Mixed_5c")(x)
        x = BlockA(64, self.pool, name="Mixed_5d")(x)
        x = BlockB(name="Mixed_6a")(x)
        x = BlockC(128, self.pool, name="Mixed_6b")(x)
        x = BlockC(160, self.pool, name="Mixed_6c")(x)
        x = BlockC(160, self.pool, name="Mixed_6d")(x)
        spatial = x[..., :7].reshape(len(x), -1)
        x = BlockC(192, self.pool, name="Mixed_6e")(x)
        pool768 = pixel_mean(x)
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(self.pool, name="Mixed_7b")(x)
        x = BlockE(self.last, name="Mixed_7c")(x)
        pool2048 = pixel_mean(x)
        logits = nn.Dense(self.classes, self.bias, precision=Precision.HIGHEST, name="fc")(pool2048)
        return Activations(pool64, pool192, pool768, pool2048, spatial, logits)


def variables(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `InceptionV3` out of its published state dict: that of pytorch-fid and torch-fidelity,
    {"Mixed_5b.branch1x1.conv.weight": ...}, or that of the archive of StyleGAN2-ADA and clean-fid.

    Batch normalization is folded into the convolutions; the bias of the last layer is left out. Raises ValueError where
    an array is missing, of another shape or not of this network.
    """
    published = Published(renamed(state) if is_archive(state) else state, "FID's Inception network", FILE)
    published.used.add("fc.bias")
    return folded(InceptionV3(), published)


def folded(network: InceptionV3, published: Published) -> dict[str, Any]:
    """The variables of `network`, with batch normalization folded into the convolutions."""

    def layer(name: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        if name != "fc":
            return published.folded(f"{name}.conv", f"{name}.bn", shape, BATCH_NORM_EPSILON)
        last = {"kernel": published.kernel("fc.weight", *shape)}
        return last | ({"bias": published.take("fc.bias", shape[-1])} if network.bias else {})

    return published.variables(network, (1, SIDE, SIDE, 3), layer)
