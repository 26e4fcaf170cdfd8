"""The critic of StyleGAN2, in its three architectures.

    "orig"    h <- down(conv(conv(h)))
    "resnet"  h <- (down(conv(conv(h))) + W down(h)) / sqrt(2)
    "skip"    h <- down(conv(conv(h + W x))),  x <- down(x)

StyleGAN2 and StyleGAN2-ADA use "resnet", the CIFAR configuration of the latter "orig". Classes enter by projection on
an embedding that a mapping network makes. Parameters have the published names (`b8/conv0/weight`), kernels are HWIO.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 4.1 and figure 7; Karras et
al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix D.
"""

from math import sqrt
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.gan.stylegan2 import Mapping, resolutions
from jaxgen.models.layers.equalized import EqualizedConv, EqualizedDense
from jaxgen.models.layers.features import show
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.minibatch_stddev import minibatch_stddev
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import downsample_conv, fir_downsample

ARCHITECTURES = "orig", "resnet", "skip"


def entered(h: Any, image: Any, features: int, clamp: float | None) -> Array:
    """h + lrelu(W image + b), where None is nothing to add. Called inside a compact module, whose layer it is."""
    if image is None:
        return jnp.asarray(h)
    y = EqualizedConv(features, 1, clamp=clamp, name="fromrgb")(image)
    return y if h is None else h + y


class CriticBlock(nn.Module):
    """One resolution: h [B, H, W, C], or None at first, and the image [B, H, W, *], or None where it does not enter
    -> [B, H/2, W/2, out_features]."""

    features: int
    out_features: int
    residual: bool
    clamp: float | None = None

    @nn.compact
    def __call__(self, h: Array | None, image: Array | None) -> Array:
        h = entered(h, image, self.features, self.clamp)
        y = EqualizedConv(self.features, clamp=self.clamp, name="conv0")(h)
        gain = sqrt(0.5) if self.residual else 1.0
        y = EqualizedConv(self.out_features, 3, downsample_conv, gain=gain, clamp=self.clamp, name="conv1")(y)
        if not self.residual:
            return y
        skip = EqualizedConv(self.out_features, 1, biased=False, act="linear", gain=gain, name="skip")
        return y + skip(fir_downsample(h))


class Epilogue(nn.Module):
    """4x4: h [B, 4, 4, C] and the image or None -> [B, out_features], through the deviation over the minibatch."""

    out_features: int
    group: int | None
    slices: int
    clamp: float | None = None

    @nn.compact
    def __call__(self, h: Array, image: Array | None) -> Array:
        features = h.shape[-1]
        h = entered(h, image, features, self.clamp)
        h = EqualizedConv(features, clamp=self.clamp, name="conv")(minibatch_stddev(h, self.group, self.slices))
        h = EqualizedDense(features, "lrelu", name="fc")(h.reshape(h.shape[0], -1))
        return EqualizedDense(self.out_features, name="out")(h)


class StyleGAN2Critic(nn.Module):
    """x: [B, H, W, C], a square of 8, 16, 32, ... pixels a side, cond: int [B] or None -> logits [B], float32.

    A resolution of n pixels has min(channel_base / n, channel_max) features. layers: depth of the mapping network of
    the classes. group, slices: of the minibatch standard deviation. clamp bounds activations. Resolutions above 4x4
    compute in `dtype`. Its features are the outputs of the blocks above 4x4. Nothing here depends on `keys` or `train`.
    """

    num_classes: int = 0
    architecture: str = "resnet"
    layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    group: int | None = 4
    slices: int = 1
    clamp: float | None = None
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"expected an architecture out of {', '.join(ARCHITECTURES)}, got {self.architecture!r}.")
        cond = labels(cond, self.num_classes, x.shape[0])
        sizes = resolutions(*x.shape[1:3])
        widths = {size: min(self.channel_base // size, self.channel_max) for size in sizes}
        h: Array | None = None
        image: Array | None = x.astype(self.dtype or x.dtype)
        for size in reversed(sizes[1:]):
            block = rematerialized(CriticBlock, self.remat)(
                widths[size], widths[size // 2], self.architecture == "resnet", self.clamp, name=f"b{size}"
            )
            h = show(self, block(h, image))
            image = None if image is None or self.architecture != "skip" else fir_downsample(image)
        epilogue = Epilogue(widths[4] if self.num_classes else 1, self.group, self.slices, self.clamp, name="b4")
        logits = epilogue(*jax.tree.map(lambda y: y.astype(x.dtype), (h, image)))
        if cond is not None:
            logits *= Mapping(widths[4], self.layers, self.num_classes, name="mapping")(None, cond) / sqrt(widths[4])
        return jnp.sum(logits, axis=-1).astype(jnp.promote_types(logits.dtype, jnp.float32))
