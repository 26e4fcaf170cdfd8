"""A wide residual network that classifies noisy images, for guidance by a classifier."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.embeddings import GaussianFourierProjection
from jaxgen.models.layers.initializers import symmetric_uniform
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible, mean_downsample

KAIMING = jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal")
EMBEDDING = 512


class WideResnetBlock(nn.Module):
    """skip(x) + conv(drop(act(conv(act(x)) + W silu(temb)))) with act(h) = relu(norm(h)).

    x: [B, H, W, C]; temb: [B, E]; keys: [B] dropout keys or None. halve: the first convolution has stride 2. The skip
    is the mean of 2x2 blocks, then, and has zeros in new channels; it starts before act, or behind it with
    `activate_skip`. Returns [B, H', W', features].
    """

    features: int
    halve: bool = False
    activate_skip: bool = False
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, temb: Array, keys: Array | None = None) -> Array:
        layer = partial(Conv, self.features, (3, 3), use_bias=False, kernel_init=KAIMING, dtype=self.dtype)
        h = activation(x, "init_bn", self.dtype)
        skip = h if self.activate_skip else x
        h = layer(2 if self.halve else 1, name="conv1")(h)
        h += nn.Dense(self.features, dtype=self.dtype)(nn.silu(temb))[:, None, None, :]
        h = Dropout(self.dropout)(activation(h, "bn_2", self.dtype), keys)
        h = layer(name="conv2")(h)
        skip = mean_downsample(skip) if self.halve else skip
        return h + jnp.pad(skip, [(0, 0)] * 3 + [(0, self.features - skip.shape[-1])])


class WideResnetGroup(nn.Module):
    """`blocks` residual blocks of one resolution, the first of which may halve it or activate its skip."""

    blocks: int
    block: Callable[..., Any]
    first: Callable[..., Any]

    @nn.compact
    def __call__(self, x: Array, temb: Array, keys: Array | None = None) -> Array:
        for index in range(self.blocks):
            x = (self.block if index else self.first)()(x, temb, keys)
        return x


class WideResNet(nn.Module):
    """logits = W mean_pixels(h(x, sigma)): three groups of wide residual blocks, each told log sigma.

    x: [B, H, W, C] noisy images with H and W divisible by 4, each brought to mean 0 and variance 1 here. t: float [B],
    the noise level sigma. cond must be None. keys: one dropout key per example [B], None: deterministic. Returns
    [B, num_classes] float32.

    depth               6 n + 4, with n blocks a group
    widen               the groups have 16, 32 and 64 times as many channels
    fourier_scale       standard deviation of the frequencies in which log sigma is embedded
    dtype               compute dtype (None: that of x); parameters stay float32
    remat               blocks are computed again for their gradient, which saves memory

    The defaults are WRN-28-10. Source: Zagoruyko and Komodakis 2016, "Wide Residual Networks"; Song et al. 2021,
    "Score-Based Generative Modeling through Stochastic Differential Equations", appendix I.1, whose published
    checkpoint has these parameter names.
    """

    num_classes: int = 10
    depth: int = 28
    widen: int = 10
    dropout: float = 0.0
    fourier_scale: float = 16.0
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        self._check(x, t, cond)
        temb = GaussianFourierProjection(EMBEDDING // 4, self.fourier_scale)(jnp.log(t))
        temb = nn.Dense(EMBEDDING, dtype=self.dtype)(temb)
        temb = nn.Dense(EMBEDDING, dtype=self.dtype)(nn.silu(temb))

        h = standardize(x).astype(self.dtype or x.dtype)
        h = Conv(16, (3, 3), use_bias=False, kernel_init=KAIMING, dtype=self.dtype, name="init_conv")(h)
        for level in range(3):
            width, made = 2**level * 16 * self.widen, rematerialized(WideResnetBlock, self.remat)
            block = partial(made, width, dropout=self.dropout, dtype=self.dtype)
            first = partial(block, halve=level > 0, activate_skip=level == 0)
            h = WideResnetGroup((self.depth - 4) // 6, block, first)(h, temb, keys)
        h = jnp.mean(activation(h, "pre-pool-bn", self.dtype), (1, 2))
        head = nn.Dense(self.num_classes, kernel_init=symmetric_uniform(self.num_classes**-0.5), dtype=self.dtype)
        y: Array = head(h)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))

    def _check(self, x: Array, t: Array, cond: Array | None) -> None:
        check_divisible(x, 3)
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ValueError(f"expected a depth of 6 n + 4, such as 10, 16 or 28, got {self.depth}")
        if not jnp.issubdtype(t.dtype, jnp.floating):
            raise ValueError(
                f"WideResNet is told the noise level (float), got {t.dtype}: use loss.label=noise_level, not an index."
            )
        if cond is not None:
            raise ValueError("a condition came to WideResNet, which predicts the class: do not give it one")


def activation(h: Array, name: str, dtype: DTypeLike | None) -> Array:
    """relu(norm(h)), with the parameters `name` of the module that calls."""
    y: Array = GroupNorm(dtype, epsilon=1e-5, name=name)(h)
    return nn.relu(y)


def standardize(x: Array) -> Array:
    """(x - mean) / max(std, 1/sqrt(n)) over the n values of every image, x: [B, H, W, C]."""
    axes, n = (1, 2, 3), x[0].size
    var = jnp.maximum(jnp.var(x, axes, keepdims=True), 1 / n)
    return (x - jnp.mean(x, axes, keepdims=True)) * lax.rsqrt(var)
