"""The convolutional generator and critic of DCGAN.

    G:  W z -> [norm, relu, up-convolution] ... -> tanh      D:  [convolution, norm, leaky relu] ... -> w . h

Every convolution is 4x4 with stride 2; the critic's first has no normalization. Kernels start as N(0, 0.02^2), the
gains of batch normalization as N(1, 0.02^2).

Source: Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks" (1511.06434), section 3, with 4x4 kernels in place of 5x5.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.gan.resnet import bottom
from jaxgen.models.layers.batch_norm import BatchNorm
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.features import show
from jaxgen.models.layers.instance_norm import around_one
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible

NORMAL = nn.initializers.normal(0.02)


class UpBlock(nn.Module):
    """up-convolution of relu(norm(h)): [B, H, W, C] -> [B, 2H, 2W, features]."""

    features: int
    train: bool
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        h = nn.relu(BatchNorm(self.train, scale_init=around_one, dtype=self.dtype)(h))
        return nn.ConvTranspose(self.features, (4, 4), (2, 2), kernel_init=NORMAL, dtype=self.dtype)(h)


class DownBlock(nn.Module):
    """leaky_relu(norm(convolution of h)), slope 0.2, no norm if `first`: [B, H, W, C] -> [B, H/2, W/2, features]."""

    features: int
    first: bool
    train: bool
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        h = Conv(self.features, (4, 4), (2, 2), use_bias=self.first, kernel_init=NORMAL, dtype=self.dtype)(h)
        if not self.first:
            h = BatchNorm(self.train, scale_init=around_one, dtype=self.dtype)(h)
        return nn.leaky_relu(h, 0.2)


class DCGANGenerator(nn.Module):
    """z: [B, latent], cond: int [B] or None -> images [B, *shape] in (-1, 1), float32.

    widths: channels at the bottom and after every doubling but the last, which makes the image. A class is an
    embedding of `embedding` features beside z. Batch statistics move with `train`; `keys` are not used.
    """

    shape: tuple[int, int, int]
    latent: int = 100
    num_classes: int = 0
    widths: tuple[int, ...] = (512, 256, 128)
    embedding: int = 32
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        label = labels(cond, self.num_classes, z.shape[0])
        if label is not None:
            z = jnp.concatenate([z, nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)(label)], axis=-1)
        sides = bottom(self.shape, len(self.widths))
        first = nn.Dense(sides[0] * sides[1] * self.widths[0], kernel_init=NORMAL, dtype=self.dtype)
        h = first(z).reshape(-1, *sides, self.widths[0])
        for features in (*self.widths[1:], self.shape[-1]):
            h = rematerialized(UpBlock, self.remat)(features, train, dtype=self.dtype)(h)
        return jnp.tanh(h.astype(jnp.promote_types(h.dtype, jnp.float32)))


class DCGANCritic(nn.Module):
    """x: [B, H, W, C], cond: int [B] or None -> logits [B], float32. Its features are the blocks.

    widths: channels after every halving. A class is told by projection (1802.05637 eq. 4). Every pass normalizes by its
    own batch, real images and fakes apart; penalties on the gradient of one example have no meaning here, because
    its logit depends on the others. Batch statistics move with `train`; `keys` are not used.
    """

    num_classes: int = 0
    widths: tuple[int, ...] = (128, 256, 512)
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        check_divisible(x, len(self.widths) + 1)
        label = labels(cond, self.num_classes, x.shape[0])
        h = x
        for i, width in enumerate(self.widths):
            h = show(self, rematerialized(DownBlock, self.remat)(width, not i, train, dtype=self.dtype)(h))
        h = h.reshape(h.shape[0], -1)
        logits = nn.Dense(1, kernel_init=NORMAL, dtype=self.dtype)(h)[:, 0]
        if label is not None:
            weights = nn.Embed(self.num_classes, h.shape[-1], embedding_init=NORMAL, dtype=self.dtype)(label)
            logits += jnp.sum(weights * h, axis=-1)
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
