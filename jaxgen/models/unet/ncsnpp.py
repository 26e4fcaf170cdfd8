"""NCSN++ and DDPM++, the score networks of Song et al. 2021."""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.attention import AttnBlockpp
from jaxgen.models.layers.embeddings import ClassEmbedding, GaussianFourierProjection, positional_embedding
from jaxgen.models.layers.initializers import fan_avg
from jaxgen.models.layers.noise_levels import level_at
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import (
    check_divisible,
    fir_downsample,
    fir_upsample,
    mean_downsample,
    nearest_upsample,
)
from jaxgen.models.unet.blocks import (
    Combine,
    Downsample,
    ResnetBlockBigGANpp,
    ResnetBlockDDPMpp,
    Upsample,
    add_skip,
    conv,
)

CHOICES = {
    "resblock_type": ("ddpm", "biggan"),
    "progressive": ("none", "output_skip", "residual"),
    "progressive_input": ("none", "input_skip", "residual"),
    "progressive_combine": ("sum", "cat"),
    "embedding_type": ("fourier", "positional"),
}


class NCSNpp(nn.Module):
    """y = U(x, t) / sigma: a U-Net of residual blocks with attention, FIR resampling and image pyramids.

    x: [B, H, W, C] with H and W divisible by 2^(len(ch_mult) - 1). t: [B], the noise level sigma itself for
    embedding_type "fourier" (embedded as log sigma), 999 t or a grid index for "positional". cond: class labels
    int [B], num_classes standing for "no class". keys: one dropout key per example [B], None: deterministic.
    Returns [B, H, W, out_channels or C] float32.

    The defaults are NCSN++ for continuous variance exploding on CIFAR-10 with 4 blocks (8: "deep"). DDPM++ is
    fir=False, progressive_input="none", embedding_type="positional", scale_by_sigma=False, centered=True.

    channels            nf, the width of the first level; level i has channels * ch_mult[i]
    attn_resolutions    heights of the feature maps that have an attention block
    conditional         tell the blocks the time label
    resamp_with_conv    "ddpm" blocks only: convolution in the resamplers between levels
    fir, fir_kernel     FIR resampling, else nearest and mean
    skip_rescale        divide every sum of two branches by sqrt(2)
    progressive         output pyramid: none, sum of images (output_skip), sum of features (residual)
    progressive_input   input pyramid: none, images (input_skip, joined by progressive_combine) or features
    init_scale          variance scale of the last layer of every branch; 0 means 1e-10
    scale_by_sigma      divide the output by sigma: the label ("fourier"), or sigmas[int(label)], descending
    centered            x is in [-1, 1]; otherwise [0, 1] is mapped to [-1, 1] here
    dtype               compute dtype (None: that of x); parameters stay float32
    remat               blocks are computed again for their gradient, which saves memory

    Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations",
    appendix H; parameter names are those of its published checkpoints.
    """

    channels: int = 128
    ch_mult: Sequence[int] = (1, 2, 2, 2)
    num_res_blocks: int = 4
    attn_resolutions: Sequence[int] = (16,)
    dropout: float = 0.1
    resamp_with_conv: bool = True
    conditional: bool = True
    fir: bool = True
    fir_kernel: Sequence[float] = (1, 3, 3, 1)
    skip_rescale: bool = True
    resblock_type: str = "biggan"
    progressive: str = "none"
    progressive_input: str = "residual"
    progressive_combine: str = "sum"
    embedding_type: str = "fourier"
    fourier_scale: float = 16.0
    init_scale: float = 0.0
    scale_by_sigma: bool = True
    sigmas: Sequence[float] | None = None
    nonlinearity: Callable[[Array], Array] = nn.silu
    centered: bool = False
    out_channels: int | None = None
    num_classes: int = 0
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        self._check(x, t, cond)
        act, dtype, out_channels = self.nonlinearity, self.dtype, self.out_channels or x.shape[-1]
        biggan = self.resblock_type == "biggan"
        widths = [self.channels * m for m in self.ch_mult]
        levels = range(len(widths))

        block = partial(
            rematerialized(ResnetBlockBigGANpp if biggan else ResnetBlockDDPMpp, self.remat),
            act=act,
            dropout=self.dropout,
            skip_rescale=self.skip_rescale,
            init_scale=self.init_scale,
            dtype=dtype,
        )
        attention = rematerialized(AttnBlockpp, self.remat)
        attend = partial(attention, skip_rescale=self.skip_rescale, init_scale=self.init_scale, dtype=dtype)
        up = partial(Upsample, fir=self.fir, fir_kernel=self.fir_kernel, dtype=dtype)
        down = partial(Downsample, fir=self.fir, fir_kernel=self.fir_kernel, dtype=dtype)
        fir_up, fir_down = (partial(f, kernel=self.fir_kernel) for f in (fir_upsample, fir_downsample))

        def resample(h: Array, module: Callable[..., nn.Module], function: Callable[[Array], Array]) -> Array:
            if biggan:
                return block(h.shape[-1], resample=function)(h, temb, keys)
            return module(h.shape[-1] if self.resamp_with_conv else None)(h)

        def head(h: Array, features: int, init_scale: float) -> Array:
            return conv(features, init_scale=init_scale, dtype=dtype)(act(GroupNorm(dtype)(h)))

        temb = self._embed(t, cond)
        x = x if self.centered else 2 * x - 1
        pyramid = x = x.astype(dtype or x.dtype)

        skips = [conv(self.channels, dtype=dtype)(x)]
        for level in levels:
            for _ in range(self.num_res_blocks):
                h = block(widths[level])(skips[-1], temb, keys)
                if h.shape[1] in self.attn_resolutions:
                    h = attend()(h)
                skips.append(h)
            if level != levels[-1]:
                h = resample(skips[-1], down, fir_down if self.fir else mean_downsample)
                if self.progressive_input == "input_skip":
                    pyramid = down()(pyramid)
                    h = Combine(self.progressive_combine, dtype=dtype)(pyramid, h)
                elif self.progressive_input == "residual":
                    pyramid = down(h.shape[-1])(pyramid)
                    h = pyramid = add_skip(pyramid, h, self.skip_rescale)
                skips.append(h)

        h = block(widths[-1])(skips[-1], temb, keys)
        h = attend()(h)
        h = block(widths[-1])(h, temb, keys)

        for level in reversed(levels):
            for _ in range(self.num_res_blocks + 1):
                h = block(widths[level])(jnp.concatenate([h, skips.pop()], axis=-1), temb, keys)
            if h.shape[1] in self.attn_resolutions:
                h = attend()(h)
            if self.progressive == "output_skip":
                image = None if level == levels[-1] else up()(pyramid)
                y = head(h, out_channels, self.init_scale)
                pyramid = y if image is None else image + y
            elif self.progressive == "residual" and level == levels[-1]:
                pyramid = head(h, h.shape[-1], 1.0)
            elif self.progressive == "residual":
                pyramid = up(h.shape[-1])(pyramid)
                h = pyramid = add_skip(pyramid, h, self.skip_rescale)
            if level != 0:
                h = resample(h, up, fir_up if self.fir else nearest_upsample)

        y = pyramid if self.progressive == "output_skip" else head(h, out_channels, self.init_scale)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        return y / self._sigma(t)[:, None, None, None] if self.scale_by_sigma else y

    def _embed(self, t: Array, cond: Array | None) -> Array | None:
        dense = partial(nn.Dense, 4 * self.channels, kernel_init=fan_avg(), dtype=self.dtype)
        if self.embedding_type == "fourier":
            temb = GaussianFourierProjection(self.channels, self.fourier_scale)(jnp.log(t))
        else:
            temb = positional_embedding(t, self.channels)
        terms = []
        if self.conditional:
            temb = dense()(temb)
            terms.append(dense()(self.nonlinearity(temb)))
        if self.num_classes:
            embed = ClassEmbedding(self.num_classes, 4 * self.channels, dtype=self.dtype)
            terms.append(embed(cond, t.shape[0]))
        return sum(terms[1:], terms[0]) if terms else None

    def _sigma(self, t: Array) -> Array:
        return t if self.embedding_type == "fourier" else level_at(self.sigmas, t, "NCSNpp")

    def _check(self, x: Array, t: Array, cond: Array | None) -> None:
        check_divisible(x, len(self.ch_mult))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"expected {name} to be one of {choices}, got {getattr(self, name)!r}")
        if self.embedding_type == "fourier" and not jnp.issubdtype(t.dtype, jnp.floating):
            raise ValueError(
                f"NCSNpp with a Fourier embedding is told the noise level (float), got {t.dtype}: use "
                "loss.label=noise_level, or embedding_type='positional' for an index"
            )
        if cond is not None and not self.num_classes:
            raise ValueError("a condition came to a network without classes; build it with num_classes > 0")
