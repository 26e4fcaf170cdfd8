"""VQGAN's convolutional autoencoder around any quantizer; around a Gaussian one, the KL-autoencoder of latent
diffusion.

    code = quantizer(W E(x)),    y = D(code.z)

Levels i = 0 ... n - 1 have width multipliers[i] channels and H / 2^i pixels a side; latents are at the last.

Sources: Esser, Rombach, Ommer 2021 (2012.09841), table 7; Rombach et al. 2022, "High-Resolution Image Synthesis with
Latent Diffusion Models" (2112.10752), appendix E.1.
"""

from collections.abc import Sequence

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.latent.autoencoder import Autoencoder
from jaxgen.models.latent.blocks import Attention, Downsample, ResnetBlock, Upsample
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible


class Level(nn.Module):
    """Residual blocks of one level, each with attention or without, and the way to the next level, up, down or none."""

    features: int
    blocks: int
    attention: bool
    groups: int
    resample: type[nn.Module] | None
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, h: Array) -> Array:
        block, attend = (rematerialized(kind, self.remat) for kind in (ResnetBlock, Attention))
        for i in range(self.blocks):
            h = block(self.features, self.groups, dtype=self.dtype, name=f"resnets_{i}")(h)
            if self.attention:
                h = attend(self.groups, dtype=self.dtype, name=f"attentions_{i}")(h)
        if self.resample is not None:
            names = {Downsample: "downsamplers_0", Upsample: "upsamplers_0"}
            h = self.resample(dtype=self.dtype, name=names[self.resample])(h)
        return h


class Middle(nn.Module):
    """A residual block, attention, a residual block."""

    groups: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        h = ResnetBlock(h.shape[-1], self.groups, self.dtype, name="resnets_0")(h)
        h = Attention(self.groups, self.dtype, name="attentions_0")(h)
        return ResnetBlock(h.shape[-1], self.groups, self.dtype, name="resnets_1")(h)


class Encoder(nn.Module):
    """[B, H, W, C] -> [B, H / 2^(n-1), W / 2^(n-1), out_channels]."""

    out_channels: int
    width: int
    multipliers: Sequence[int]
    blocks: int
    attention: Sequence[int]
    groups: int
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        check_divisible(x, len(self.multipliers))
        h = Conv(self.width, (3, 3), dtype=self.dtype, name="conv_in")(x)
        last = len(self.multipliers) - 1
        for i, multiplier in enumerate(self.multipliers):
            h = Level(
                self.width * multiplier,
                self.blocks,
                i in self.attention,
                self.groups,
                Downsample if i < last else None,
                self.dtype,
                self.remat,
                name=f"down_blocks_{i}",
            )(h)
        h = Middle(self.groups, self.dtype, name="mid_block")(h)
        h = nn.silu(GroupNorm(self.dtype, self.groups, name="conv_norm_out")(h))
        return Conv(self.out_channels, (3, 3), dtype=self.dtype, name="conv_out")(h)


class Decoder(nn.Module):
    """The mirror image of `Encoder`, from the 1x1 convolution after the quantizer on, with one more residual block a
    level."""

    out_channels: int
    width: int
    multipliers: Sequence[int]
    blocks: int
    attention: Sequence[int]
    groups: int
    dtype: DTypeLike | None = None
    remat: bool = False

    @property
    def last_layer(self) -> tuple[str, ...]:
        return "conv_out", "kernel"

    @nn.compact
    def __call__(self, z: Array) -> Array:
        last = len(self.multipliers) - 1
        h = Conv(z.shape[-1], (1, 1), dtype=self.dtype, name="post_quant_conv")(z)
        h = Conv(self.width * self.multipliers[-1], (3, 3), dtype=self.dtype, name="conv_in")(h)
        h = Middle(self.groups, self.dtype, name="mid_block")(h)
        for i, multiplier in enumerate(reversed(self.multipliers)):
            h = Level(
                self.width * multiplier,
                self.blocks + 1,
                last - i in self.attention,
                self.groups,
                Upsample if i < last else None,
                self.dtype,
                self.remat,
                name=f"up_blocks_{i}",
            )(h)
        h = nn.silu(GroupNorm(self.dtype, self.groups, name="conv_norm_out")(h))
        return Conv(self.out_channels, (3, 3), dtype=self.dtype, name="conv_out")(h)


def vqgan(
    quantizer: nn.Module,
    out_channels: int,
    width: int = 128,
    multipliers: Sequence[int] = (1, 1, 2, 2, 4),
    blocks: int = 2,
    attention: Sequence[int] = (4,),
    groups: int = 32,
    dtype: DTypeLike | None = None,
    remat: bool = False,
) -> Autoencoder:
    """The whole, around any quantizer. `attention` counts levels."""
    shape = width, multipliers, blocks, attention, groups, dtype, remat
    inputs: int = quantizer.inputs
    return Autoencoder(Encoder(inputs, *shape), quantizer, Decoder(out_channels, *shape), dtype)
