"""The U-Net of DDPM."""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.attention import AttnBlock
from jaxgen.models.layers.embeddings import ClassEmbedding, positional_embedding
from jaxgen.models.layers.initializers import fan_avg
from jaxgen.models.layers.noise_levels import level_at
from jaxgen.models.layers.norm import GroupNorm
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import check_divisible
from jaxgen.models.unet.blocks import Downsample, ResnetBlockDDPM, Upsample, conv


class DDPM(nn.Module):
    """y = U(x, t), or U(x, t) / sigma: a U-Net of residual blocks with attention, every norm of 32 groups.

    x: [B, H, W, C] with H and W divisible by 2^(len(ch_mult) - 1). t: [B], 999 t or a grid index. cond: class labels
    int [B], num_classes standing for "no class". keys: one dropout key per example [B], None: deterministic.
    Returns [B, H, W, out_channels or C] float32.

    The defaults are the CIFAR-10 network. At 256 pixels ch_mult is (1, 1, 2, 2, 4, 4).

    channels            the width of the first level, a multiple of 32; level i has channels * ch_mult[i]. At a width
                        of 32 a norm sees single channels and removes what its block is told of time: take more
    attn_resolutions    heights of the feature maps that have an attention block; the middle always has one
    resamp_with_conv    a convolution in the resamplers between levels
    conditional         tell the blocks the time label
    scale_by_sigma      divide the output by sigmas[t], descending; t is then an index, int
    centered            x is in [-1, 1]; otherwise [0, 1] is mapped to [-1, 1] here
    dtype               compute dtype (None: that of x); parameters stay float32
    remat               blocks are computed again for their gradient, which saves memory

    Source: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", appendix B; parameter names are those of the
    checkpoints published with Song et al. 2021.
    """

    channels: int = 128
    ch_mult: Sequence[int] = (1, 2, 2, 2)
    num_res_blocks: int = 2
    attn_resolutions: Sequence[int] = (16,)
    dropout: float = 0.1
    resamp_with_conv: bool = True
    conditional: bool = True
    scale_by_sigma: bool = False
    sigmas: Sequence[float] | None = None
    nonlinearity: Callable[[Array], Array] = nn.silu
    centered: bool = True
    out_channels: int | None = None
    num_classes: int = 0
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        check_divisible(x, len(self.ch_mult))
        act, dtype = self.nonlinearity, self.dtype
        widths = [self.channels * m for m in self.ch_mult]
        block = partial(rematerialized(ResnetBlockDDPM, self.remat), act=act, dropout=self.dropout, dtype=dtype)
        attend = partial(rematerialized(AttnBlock, self.remat), dtype=dtype)
        temb = self._embed(t, cond)

        def blocks(h: Array, width: int) -> Array:
            y: Array = block(width)(h, temb, keys)
            return y

        def resample(h: Array, module: Callable[..., nn.Module]) -> Array:
            y: Array = module(h.shape[-1] if self.resamp_with_conv else None, dtype=dtype)(h)
            return y

        h = (x if self.centered else 2 * x - 1).astype(dtype or x.dtype)
        skips = [conv(self.channels, dtype=dtype)(h)]
        for level, width in enumerate(widths):
            if level:
                skips.append(resample(skips[-1], Downsample))
            for _ in range(self.num_res_blocks):
                h = blocks(skips[-1], width)
                skips.append(attend()(h) if h.shape[1] in self.attn_resolutions else h)

        h = blocks(attend()(blocks(skips[-1], widths[-1])), widths[-1])

        for level, width in reversed(list(enumerate(widths))):
            for _ in range(self.num_res_blocks + 1):
                h = blocks(jnp.concatenate([h, skips.pop()], axis=-1), width)
            h = attend()(h) if h.shape[1] in self.attn_resolutions else h
            h = resample(h, Upsample) if level else h

        h = act(GroupNorm(dtype, groups=32)(h))
        y = conv(self.out_channels or x.shape[-1], init_scale=0.0, dtype=dtype)(h)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        return y / level_at(self.sigmas, t, "DDPM")[:, None, None, None] if self.scale_by_sigma else y

    def _embed(self, t: Array, cond: Array | None) -> Array | None:
        dense = partial(nn.Dense, 4 * self.channels, kernel_init=fan_avg(), dtype=self.dtype)
        temb = None
        if self.conditional:
            temb = dense()(positional_embedding(t, self.channels))
            temb = dense()(self.nonlinearity(temb))
        if self.num_classes:
            embedded = ClassEmbedding(self.num_classes, 4 * self.channels, dtype=self.dtype)(cond, t.shape[0])
            return embedded if temb is None else temb + embedded
        if cond is not None:
            raise ValueError("a condition came to a network without classes; build it with num_classes > 0")
        return temb
