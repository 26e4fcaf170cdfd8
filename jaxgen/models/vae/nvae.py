"""NVAE: a hierarchy of depthwise-separable residual cells with batch normalization, swish and squeeze-and-excitation.

Source: Vahdat and Kautz 2020, "NVAE: A Deep Hierarchical Variational Autoencoder" (2007.03898).
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.batch_norm import BatchNorm
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible, nearest_upsample
from jaxgen.models.vae.hierarchy import Choose, Group, Ladder, Normal

RESIDUAL = 0.1  # of what a cell adds
NARROWEST = 0.01  # standard deviation
KERNEL, WIDER = (5, 5), 6  # of the depthwise convolution of a decoder's cell; its channels relative to the cell's


def clamp(h: Array) -> Array:
    """5 tanh(h/5): means and log standard deviations stay in [-5, 5]."""
    return 5 * jnp.tanh(h / 5)


def normal(mean: Array, log_std: Array) -> Normal:
    """N(clamp(mean), exp(clamp(log_std)) + 0.01)."""
    return Normal(clamp(mean), jnp.log(jnp.exp(clamp(log_std)) + NARROWEST))


class SqueezeExcite(nn.Module):
    """h sigmoid(W2 relu(W1 mean_pixels(h))): every channel is weighed by what the whole image holds (1709.01507)."""

    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        channels = h.shape[-1]
        gate = nn.relu(nn.Dense(max(channels // 16, 4), dtype=self.dtype)(jnp.mean(h, (1, 2))))
        gate = nn.sigmoid(nn.Dense(channels, dtype=self.dtype)(gate))
        return h * gate[:, None, None]


class EncoderCell(nn.Module):
    """skip(x) + 0.1 SE(conv swish BN conv swish BN x), convolutions of 3x3 (figure 3b).

    x: [B, H, W, C] -> [B, H, W, C], or with `halve` [B, H/2, W/2, 2 C], with a 1x1 convolution of the 2x2 pixels of a
    block side by side as skip.
    """

    halve: bool = False
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        channels = x.shape[-1] * (2 if self.halve else 1)
        norm = partial(BatchNorm, train, dtype=self.dtype)
        h = Conv(channels, (3, 3), 2 if self.halve else 1, dtype=self.dtype)(nn.swish(norm()(x)))
        h = Conv(channels, (3, 3), dtype=self.dtype)(nn.swish(norm()(h)))
        h = SqueezeExcite(self.dtype)(h)
        if self.halve:
            b, height, width, c = x.shape
            blocks = x.reshape(b, height // 2, 2, width // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
            blocks = blocks.reshape(b, height // 2, width // 2, 4 * c)
            x = Conv(channels, (1, 1), dtype=self.dtype, name="skip")(nn.swish(blocks))
        return x + RESIDUAL * h


class DecoderCell(nn.Module):
    """skip(x) + 0.1 SE(BN conv swish BN depthwise swish BN conv BN x), with 1x1 convolutions to six times the channels
    and back around a depthwise one of 5x5 (figure 3a).

    x: [B, H, W, C] -> [B, H, W, C], or with `double` [B, 2H, 2W, C/2], with a 1x1 convolution of x enlarged as skip.
    """

    double: bool = False
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = nearest_upsample(x) if self.double else x
        channels = x.shape[-1] // (2 if self.double else 1)
        wide = WIDER * x.shape[-1]
        conv = partial(Conv, use_bias=False, dtype=self.dtype)
        norm = partial(BatchNorm, train, dtype=self.dtype)
        h = conv(wide, (1, 1))(norm()(x))
        h = conv(wide, KERNEL, feature_group_count=wide)(nn.swish(norm()(h)))
        h = norm()(conv(channels, (1, 1))(nn.swish(norm()(h))))
        h = SqueezeExcite(self.dtype)(h)
        x = Conv(channels, (1, 1), dtype=self.dtype, name="skip")(x) if self.double else x
        return x + RESIDUAL * h


class NVAE(Ladder):
    """(parameters, KL of every group) of images x [B, H, W, C] in model space; see `Ladder` for the other calls.

    out_channels      channels times parameters per channel of the likelihood
    groups            of every scale, the coarsest first; every scale is twice as large as the one before
    channels          at the size of the image; twice as many at half the size
    latent            latent channels of a group
    halvings          of the image before the finest scale
    cells             residual cells around a halving or doubling that has no groups
    cells_per_group   residual cells between two groups, in the encoder and in the decoder
    num_classes       a class adds its own vector to the state that the decoder starts from

    q is relative to p: N(m_p + m, s_p s) of the clamped sums of means and of log standard deviations (section 3.1). The
    first prior is N(0, I). The defaults are those of CIFAR-10 without normalizing flows in q. Convolutions that no
    batch normalization follows are not weight-normalized, as they are in the release.
    """

    shape: tuple[int, int, int] = (32, 32, 3)
    out_channels: int = 100
    groups: tuple[int, ...] = (30,)
    channels: int = 128
    latent: int = 20
    halvings: int = 1
    cells: int = 2
    cells_per_group: int = 2
    num_classes: int = 0
    dtype: DTypeLike | None = None
    remat: bool = False

    @property
    def latents(self) -> list[tuple[int, int, int]]:
        height, width, _ = self.shape
        sizes = [2 ** (self.halvings + len(self.groups) - 1 - scale) for scale in range(len(self.groups))]
        return [
            (height // n, width // n, self.latent)
            for n, count in zip(sizes, self.groups, strict=True)
            for _ in range(count)
        ]

    def setup(self) -> None:
        check_divisible(jnp.zeros((1, *self.shape)), self.halvings + len(self.groups))
        encoder = partial(rematerialized(EncoderCell, self.remat, (2,)), dtype=self.dtype)
        decoder = partial(rematerialized(DecoderCell, self.remat, (2,)), dtype=self.dtype)
        conv = partial(Conv, dtype=self.dtype)
        widths = [d for d, count in zip(self.widths, self.groups, strict=True) for _ in range(count)]
        own, one, last = range(self.cells_per_group), (1, 1), len(self.groups) - 1

        self.stem = conv(self.channels, (3, 3))
        self.before = [encoder(halve=i == self.cells - 1) for _ in range(self.halvings) for i in range(self.cells)]
        self.encoding = [[encoder() for _ in own] for _ in widths]
        self.halving = [encoder(halve=True) for _ in range(last)]
        self.top = conv(widths[0], one)
        self.met = [conv(d, one) for d in widths[1:]]
        self.posteriors = [conv(2 * self.latent, (3, 3)) for _ in widths]

        self.start = self.param("start", jax.nn.initializers.normal(1.0), (*self.latents[0][:2], widths[0]))
        if self.num_classes:
            self.classes = nn.Embed(self.num_classes, widths[0], embedding_init=jax.nn.initializers.normal(1.0))
        self.decoding = [[decoder() for _ in own] for _ in widths[1:]]
        self.priors = [conv(2 * self.latent, one) for _ in widths[1:]]
        self.joined = [conv(d, one) for d in widths]
        self.doubling = [decoder(double=True) for _ in range(last)]
        self.after = [decoder(double=i == 0) for _ in range(self.halvings) for i in range(self.cells)]
        self.out = conv(self.out_channels, (3, 3))

    @property
    def widths(self) -> list[int]:
        """The channels of every scale, the coarsest first."""
        coarsest = self.halvings + len(self.groups) - 1
        return [self.channels * 2 ** (coarsest - scale) for scale in range(len(self.groups))]

    def bottom_up(self, x: Array, keys: Array | None, train: bool) -> list[Array]:
        """What the posterior of every group sees, in the order of generation."""
        h = self.stem(x.astype(self.dtype or x.dtype))
        for cell in self.before:
            h = cell(h, train)
        seen, cells, halving = [], iter(self.encoding), iter(self.halving)
        for scale, count in enumerate(reversed(self.groups)):
            h = next(halving)(h, train) if scale else h
            for _ in range(count):
                for cell in next(cells):
                    h = cell(h, train)
                seen.append(h)
        seen[-1] = nn.elu(self.top(nn.elu(h)))
        return seen[::-1]

    def top_down(
        self, choose: Choose, batch: int, cond: Array | None, keys: Array | None, train: bool
    ) -> tuple[Array, tuple[Group, ...]]:
        told = labels(cond, self.num_classes, batch)
        start = self.start if told is None else self.start + self.classes(told)[:, None, None]
        h = jnp.broadcast_to(start, (batch, *self.start.shape)).astype(self.dtype or start.dtype)
        groups: list[Group] = []
        for scale, count in enumerate(self.groups):
            h = self.doubling[scale - 1](h, train) if scale else h
            for _ in range(count):
                h, group = self._group(len(groups), h, choose, train)
                groups.append(group)
        for cell in self.after:
            h = cell(h, train)
        y = self.out(nn.elu(h))
        return y.astype(jnp.promote_types(y.dtype, jnp.float32)), tuple(groups)

    def _group(self, i: int, h: Array, choose: Choose, train: bool) -> tuple[Array, Group]:
        """Group i on the state h: the cells before it, its variables, and the state that knows them."""
        kind = jnp.promote_types(h.dtype, jnp.float32)
        if i:
            for cell in self.decoding[i - 1]:
                h = cell(h, train)
            base, more = jnp.split(self.priors[i - 1](nn.elu(h)).astype(kind), 2, -1)
            p = normal(base, more)
        else:
            base = more = jnp.zeros((len(h), *self.latents[0]), kind)
            p = Normal(base, more)

        def posterior(seen: list[Array]) -> Normal:
            met = seen[i] + self.met[i - 1](h) if i else seen[i]
            mean, log_std = jnp.split(self.posteriors[i](met).astype(kind), 2, -1)
            return normal(base + mean, more + log_std)

        z, q = choose(i, p, posterior)
        return self.joined[i](jnp.concatenate([h, z.astype(h.dtype)], -1)), Group(z, p, q)
