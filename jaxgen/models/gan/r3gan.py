"""R3GAN: generator and critic of grouped residual blocks, without normalization.

    block(h) = h + W3 a(W2 a(W1 h)),    a(h) = leaky_relu(h + b)

W1 and W3 are 1x1, W2 is 3x3 in groups, and W3 is 0 in the beginning. A stage of blocks has one size, between stages a
filter halves or doubles it; the generator starts at 4x4 from a learned basis, where the critic ends.

Source: Huang et al. 2025, "The GAN is dead; long live the GAN! A Modern Baseline GAN" (2501.05441), section 4 and
appendix; initialization as in Zhang et al. 2019 (1901.09321).
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.features import show
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import fir_downsample, fir_upsample

SLOPE = 0.2
FIRST = 4  # pixels a side of the smallest stage
LINEAR = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class Activation(nn.Module):
    """leaky_relu(h + b), slope 0.2."""

    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        bias = self.param("bias", nn.initializers.zeros, h.shape[-1:], jnp.float32)
        return nn.leaky_relu(h + bias.astype(h.dtype), SLOPE)


class Block(nn.Module):
    """h + W3 a(W2 a(W1 h)), [B, H, W, C] -> [B, H, W, C]. `depth` is the number of blocks in the network: the first two
    kernels are depth^(-1/4) of what keeps the variance."""

    groups: int
    expansion: int
    depth: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        gain = 2 / (1 + SLOPE**2) / math.sqrt(self.depth)
        layer = partial(Conv, use_bias=False, dtype=self.dtype)
        inner = partial(
            layer, h.shape[-1] * self.expansion, kernel_init=nn.initializers.variance_scaling(gain, "fan_in", "normal")
        )
        y = Activation(self.dtype)(inner((1, 1))(h))
        y = Activation(self.dtype)(inner((3, 3), feature_group_count=self.groups)(y))
        return h + layer(h.shape[-1], (1, 1), kernel_init=nn.initializers.zeros)(y)


class R3GANGenerator(nn.Module):
    """z: [B, latent], cond: int [B] or None -> images [B, *shape] in model space, float32.

    widths, groups      channels of the stages 4x4, 8x8, ... up to `shape`, and groups of their 3x3 convolutions
    blocks              a stage
    expansion           channels inside a block over those of its stage

    A class adds an embedding of `latent` features to z. Nothing here depends on `keys` or `train`. The defaults are
    those of CIFAR-10.
    """

    shape: tuple[int, int, int]
    latent: int = 64
    num_classes: int = 0
    widths: Sequence[int] = (768, 768, 768, 768)
    groups: Sequence[int] = (96, 96, 96, 96)
    blocks: int = 2
    expansion: int = 2
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        check_stages(self.shape[:2], self.widths, self.groups, self.expansion)
        label = labels(cond, self.num_classes, z.shape[0])
        if label is not None:
            embed = nn.Embed(self.num_classes, self.latent, embedding_init=by_class(1.0), name="embedding")
            z = jnp.concatenate([z, embed(label).astype(z.dtype)], axis=-1)
        layer = partial(Conv, kernel_size=(1, 1), use_bias=False, kernel_init=LINEAR, dtype=self.dtype)
        block = rematerialized(Block, self.remat)
        basis = self.param("basis", nn.initializers.normal(1.0), (FIRST, FIRST, self.widths[0]), jnp.float32)
        h = nn.Dense(self.widths[0], use_bias=False, kernel_init=LINEAR, dtype=self.dtype)(z)[:, None, None]
        h = basis.astype(h.dtype) * h
        for stage, (width, groups) in enumerate(zip(self.widths, self.groups, strict=True)):
            if stage:
                h = layer(width)(h) if width != h.shape[-1] else h
                h = fir_upsample(h)
            for _ in range(self.blocks):
                h = block(groups, self.expansion, self.blocks * len(self.widths), self.dtype)(h)
        x = layer(self.shape[2])(h)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class R3GANCritic(nn.Module):
    """x: [B, H, W, C], cond: int [B] or None -> logits [B], float32: w . h, or E c . W h with as many features as
    h has. `widths` and `groups` are those of the generator, 4x4 first. Its features are the blocks,
    [B, h, w, width]."""

    num_classes: int = 0
    widths: Sequence[int] = (768, 768, 768, 768)
    groups: Sequence[int] = (96, 96, 96, 96)
    blocks: int = 2
    expansion: int = 2
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        check_stages(x.shape[1:3], self.widths, self.groups, self.expansion)
        label = labels(cond, self.num_classes, x.shape[0])
        layer = partial(Conv, use_bias=False, kernel_init=LINEAR, dtype=self.dtype)
        block = rematerialized(Block, self.remat)
        h = layer(self.widths[-1], (1, 1))(x)
        for stage in reversed(range(len(self.widths))):
            for _ in range(self.blocks):
                h = block(self.groups[stage], self.expansion, self.blocks * len(self.widths), self.dtype)(h)
                h = show(self, h)
            if stage:
                h = fir_downsample(h)
                h = layer(self.widths[stage - 1], (1, 1))(h) if self.widths[stage - 1] != h.shape[-1] else h
        width = h.shape[-1]
        h = layer(width, (FIRST, FIRST), padding="VALID", feature_group_count=width, name="basis")(h)[:, 0, 0]
        features = width if self.num_classes else 1
        y = nn.Dense(features, use_bias=False, kernel_init=LINEAR, dtype=self.dtype)(h)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        if label is None:
            return y[:, 0]
        embed = nn.Embed(self.num_classes, features, embedding_init=by_class(1 / features), name="embedding")
        return jnp.sum(embed(label) * y, axis=-1)


def by_class(scale: float) -> jax.nn.initializers.Initializer:
    """N(0, scale / classes): of a linear layer whose input is the one-hot code of a class."""
    return nn.initializers.variance_scaling(scale, "fan_in", "normal")


def check_stages(size: Sequence[int], widths: Sequence[int], groups: Sequence[int], expansion: int) -> None:
    """Raises ValueError unless the stages fit the images and the groups their channels."""
    wanted = FIRST * 2 ** (len(widths) - 1)
    if tuple(size) != (wanted, wanted):
        raise ValueError(
            f"{len(widths)} widths make images of {wanted}x{wanted}, got {size[0]}x{size[1]}; give one width for each "
            f"of the sizes {FIRST}, {2 * FIRST}, ... up to that of the images."
        )
    if len(groups) != len(widths) or any(w * expansion % g for w, g in zip(widths, groups, strict=False)):
        raise ValueError(
            f"expected for each width a number of groups that divides {expansion} times it, got widths {tuple(widths)} "
            f"and groups {tuple(groups)}."
        )
