"""A compact U-Net for small images."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.attention import AttnBlockpp
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.embeddings import ConditionEmbedding, fourier_features
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible, mean_downsample, nearest_upsample


class ScaleShiftBlock(nn.Module):
    """skip(x) + conv(drop(silu((1 + s) norm(conv(silu(norm(x)))) + b))) with (s, b) = W silu(emb).

    x: [B, H, W, C]; emb: [B, E]; keys: [B] or None. Returns [B, H, W, features]. The last convolution starts at
    zero, so that the block starts as its skip.

    Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 3 (adaptive norm).
    """

    features: int
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, emb: Array, keys: Array | None = None) -> Array:
        h = nn.silu(GroupNorm(self.dtype)(x))
        h = Conv(self.features, (3, 3), dtype=self.dtype)(h)
        scale_shift = nn.Dense(2 * self.features, dtype=self.dtype)(nn.silu(emb))[:, None, None, :]
        scale, shift = jnp.split(scale_shift, 2, axis=-1)
        h = nn.silu(GroupNorm(self.dtype)(h) * (1 + scale) + shift)
        h = Dropout(self.dropout)(h, keys)
        h = Conv(self.features, (3, 3), kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(h)
        skip = x if x.shape[-1] == self.features else nn.Dense(self.features, dtype=self.dtype)(x)
        return skip + h


class UNet(nn.Module):
    """y = U(x, t, c), zero at initialization: a U-Net with scale-shift conditioning on time and class.

    x: [B, H, W, C] with H and W divisible by 2^(len(mult) - 1). t: [B] time label, of the order of 1 to 1000 for
    embedding "positional", of the order of 1 for "fourier". cond: class labels int [B]; num_classes, or None for
    all, stands for "no class". keys: one dropout key per example [B], None: deterministic.
    Returns [B, H, W, out_channels or C] float32.

    channels            width of the first level; level i has channels * mult[i]
    blocks              residual blocks a level, down and up
    attention           levels whose last block is followed by attention (the middle always has it)
    fourier_features    exponents n of the input features sin(2^n pi x), cos(2^n pi x)
    dtype               compute dtype (None: that of x); parameters stay float32
    remat               blocks are computed again for their gradient, which saves memory

    Source: Ronneberger et al. 2015; Ho et al. 2020 (DDPM), appendix B; Dhariwal and Nichol 2021, section 3.
    """

    channels: int = 32
    mult: Sequence[int] = (1, 2)
    blocks: int = 2
    attention: Sequence[int] = (1,)
    heads: int = 4
    dropout: float = 0.0
    num_classes: int = 0
    embedding: str = "positional"
    fourier_scale: float = 1.0
    fourier_features: Sequence[int] = ()
    out_channels: int | None = None
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        check_divisible(x, len(self.mult))
        widths = [self.channels * m for m in self.mult]
        out_channels = self.out_channels or x.shape[-1]
        emb = ConditionEmbedding(
            4 * self.channels, self.embedding, self.fourier_scale, self.num_classes, dtype=self.dtype
        )(t, cond)

        def block(h: Array, features: int) -> Array:
            return rematerialized(ScaleShiftBlock, self.remat)(features, self.dropout, dtype=self.dtype)(h, emb, keys)

        def attend(h: Array) -> Array:
            return rematerialized(AttnBlockpp, self.remat)(self.heads, dtype=self.dtype)(h)

        h = Conv(self.channels, (3, 3), dtype=self.dtype)(fourier_features(x, self.fourier_features))
        skips = []
        for level, width in enumerate(widths):
            h = mean_downsample(h) if level else h
            for _ in range(self.blocks):
                h = block(h, width)
                skips.append(h)
            h = attend(h) if level in self.attention else h

        h = block(attend(block(h, widths[-1])), widths[-1])

        for level, width in reversed(list(enumerate(widths))):
            for _ in range(self.blocks):
                h = block(jnp.concatenate([h, skips.pop()], axis=-1), width)
            h = attend(h) if level in self.attention else h
            h = nearest_upsample(h) if level else h

        h = nn.silu(GroupNorm(self.dtype)(h))
        y = Conv(out_channels, (3, 3), kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)(h)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))
