"""The residual generator and critic of SNGAN, WGAN-GP, the projection cGAN and SAGAN.

    generator block   x + ...:  up(x) W_s + W_2 relu(norm(W_1 up(relu(norm(x)))))
    critic block                down(W_s x + W_2 relu(W_1 relu(x)))
    D(x, c) = w . phi(x) + E c . phi(x),   phi = sum (or mean) over pixels of relu(blocks(x))

SNGAN: spectral normalization of the critic. WGAN-GP: none, and the mean over pixels. Projection cGAN: classes, by
conditional batch normalization in the generator. SAGAN: spectral normalization of both, attention=(64,) in both, and a
`wide` critic. The critic of BigGAN is this one.

Source: Miyato et al. 2018 (1802.05957) and Gulrajani et al. 2017 (1704.00028), the networks of their appendices; Miyato
and Koyama 2018 (1802.05637), eq. (4); Zhang et al. 2019 (1805.08318).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from jaxgen.models.layers.batch_norm import BatchNorm, ConditionalBatchNorm
from jaxgen.models.layers.features import show
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible, mean_downsample, nearest_upsample
from jaxgen.models.layers.self_attention import SelfAttention
from jaxgen.models.layers.spectral import kernels

Init = Callable[[float], Initializer]
POOLS = {"sum": jnp.sum, "mean": jnp.mean}


def glorot(gain: float) -> Initializer:
    """U(-a, a) with a = gain sqrt(6 / (fan in + fan out))."""
    return nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform")


def normal(std: float = 0.02) -> Init:
    """N(0, std^2) for any gain."""
    return lambda gain: nn.initializers.normal(std)


def orthogonal(gain: float) -> Initializer:
    """Orthogonal rows or columns, of norm one for any gain, as in BigGAN."""
    return nn.initializers.orthogonal()


class GeneratorBlock(nn.Module):
    """x: [B, H, W, C] -> [B, 2H, 2W, features]. norm()(h, y) normalizes, told the class by y."""

    features: int
    conv: Callable[..., Any]
    norm: Callable[[], Any]
    kernel_init: Init = glorot

    @nn.compact
    def __call__(self, x: Array, y: Array | None) -> Array:
        branch, around = (partial(self.conv, kernel_init=self.kernel_init(gain)) for gain in (2**0.5, 1.0))
        h = nearest_upsample(nn.relu(self.norm()(x, y)))
        h = branch(self.features, (3, 3), name="conv1")(h)
        h = branch(self.features, (3, 3), name="conv2")(nn.relu(self.norm()(h, y)))
        return h + around(self.features, (1, 1), name="shortcut")(nearest_upsample(x))


class CriticBlock(nn.Module):
    """x: [B, H, W, C] -> [B, H', W', features], with H' = H / 2 if `down`.

    The `first` block has no relu before its first convolution and pools before its shortcut, which is the same map.
    `hidden` channels lie between the two convolutions. The shortcut of a block that changes nothing is x.
    """

    features: int
    hidden: int
    conv: Callable[..., Any]
    first: bool = False
    down: bool = False
    kernel_init: Init = glorot

    @nn.compact
    def __call__(self, x: Array) -> Array:
        branch, around = (partial(self.conv, kernel_init=self.kernel_init(gain)) for gain in (2**0.5, 1.0))
        h = branch(self.hidden, (3, 3), name="conv1")(x if self.first else nn.relu(x))
        h = branch(self.features, (3, 3), name="conv2")(nn.relu(h))
        if self.down:
            h, x = mean_downsample(h), mean_downsample(x)
        if self.down or x.shape[-1] != self.features:
            x = around(self.features, (1, 1), name="shortcut")(x)
        return h + x


def bottom(shape: tuple[int, int, int], doublings: int) -> tuple[int, int]:
    """The sides that `doublings` make those of the image. Raises ValueError where there are none."""
    height, width, _ = shape
    if height % 2**doublings or width % 2**doublings:
        raise ValueError(
            f"expected images with sides divisible by {2**doublings} for {doublings} doublings, got {height}x{width}; "
            "use fewer widths."
        )
    return height >> doublings, width >> doublings


class ResNetGenerator(nn.Module):
    """z: [B, latent], cond: int [B] or None -> images [B, *shape] in (-1, 1), float32.

    widths: channels at the bottom and after every doubling. attention: sides of feature maps that get self-attention.
    Batch statistics move with `train`; `keys` are not used.
    """

    shape: tuple[int, int, int]
    latent: int = 128
    num_classes: int = 0
    widths: tuple[int, ...] = (256, 256, 256, 256)
    spectral: bool = False
    attention: tuple[int, ...] = ()
    kernel_init: Init = glorot
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        label = labels(cond, self.num_classes, z.shape[0])
        dense, conv, _ = kernels(self.spectral, train, self.dtype)
        plain: Callable[[], Any] = partial(BatchNorm, train, dtype=self.dtype)
        norm = plain
        if label is not None:
            embed = partial(nn.Embed, self.num_classes, embedding_init=nn.initializers.zeros_init(), dtype=self.dtype)
            norm = partial(ConditionalBatchNorm, embed, train, dtype=self.dtype)
        sides = bottom(self.shape, len(self.widths) - 1)
        first = dense(sides[0] * sides[1] * self.widths[0], kernel_init=self.kernel_init(1.0), name="linear")
        h = first(z).reshape(-1, *sides, self.widths[0])
        for width in self.widths[1:]:
            h = rematerialized(GeneratorBlock, self.remat)(width, conv, norm, self.kernel_init)(h, label)
            if h.shape[1] in self.attention:
                h = SelfAttention(partial(conv, kernel_init=self.kernel_init(1.0)))(h)
        h = conv(self.shape[-1], (3, 3), kernel_init=self.kernel_init(1.0), name="output")(nn.relu(plain()(h)))
        return jnp.tanh(h.astype(jnp.promote_types(h.dtype, jnp.float32)))


class ResNetCritic(nn.Module):
    """x: [B, H, W, C], cond: int [B] or None -> logits [B], float32. Its features are the blocks.

    widths: channels of the blocks, the first `downs` of which halve the sides. A block has as many hidden channels as
    it puts out if `wide`, as in BigGAN, else as many as it takes in. pool: "sum" or "mean". attention: sides of feature
    maps that get self-attention. The power iteration moves with `train`; `keys` are not used.
    """

    num_classes: int = 0
    widths: tuple[int, ...] = (128, 128, 128, 128)
    downs: int = 2
    wide: bool = False
    spectral: bool = True
    pool: str = "sum"
    attention: tuple[int, ...] = ()
    kernel_init: Init = glorot
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        if self.pool not in POOLS:
            raise ValueError(f"expected pool 'sum' or 'mean', got {self.pool!r}.")
        check_divisible(x, self.downs + 1)
        label = labels(cond, self.num_classes, x.shape[0])
        dense, conv, embed = kernels(self.spectral, train, self.dtype)
        h = x
        for i, width in enumerate(self.widths):
            hidden = width if self.wide or not i else h.shape[-1]
            block = rematerialized(CriticBlock, self.remat)
            h = block(width, hidden, conv, first=not i, down=i < self.downs, kernel_init=self.kernel_init)(h)
            if h.shape[1] in self.attention:
                h = SelfAttention(partial(conv, kernel_init=self.kernel_init(1.0)))(h)
            show(self, h)
        phi = POOLS[self.pool](nn.relu(h.astype(jnp.promote_types(h.dtype, jnp.float32))), (1, 2))
        logits = dense(1, kernel_init=self.kernel_init(1.0), name="linear")(phi)[:, 0]
        if label is not None:
            weights = embed(self.num_classes, phi.shape[-1], embedding_init=self.kernel_init(1.0), name="embed")(label)
            logits += jnp.sum(weights * phi, axis=-1)
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
