"""NCSNv2, the score networks of Song and Ermon 2020."""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.instance_norm import InstanceNorm2dPlus, VarianceNorm2d
from jaxgen.models.layers.noise_levels import level_at
from jaxgen.models.layers.resample import check_divisible
from jaxgen.models.refinenet.blocks import refine_net

NORMALIZATIONS = {"InstanceNorm++": InstanceNorm2dPlus, "VarianceNorm": VarianceNorm2d}


class NCSNv2(nn.Module):
    """y = R(x) / sigma: a RefineNet that is told nothing of the noise, divided by its level.

    x: [B, H, W, C] with H and W divisible by 2 for every level that halves them. t: int [B], the index of the level
    in sigmas, 0 the noisiest. Returns [B, H, W, C] float32. There is no dropout: keys are not used.

    The defaults are the 32- and 64-pixel network; `ncsnv2_128` and `ncsnv2_256` are those of larger images. With
    align_corners=False, unbiased=False and, for 64 pixels, refine_mult=(2, 2, 2, 1) it is the network of the JAX
    implementation of Song et al. 2021, which differs from the original in these.

    channels            width of the first level; level i has channels * ch_mult[i]
    dilations           of the convolutions of every level; after the first, a level without (1) halves the resolution
    refine_mult         widths that the refine blocks return, the coarsest first; None: of the level each meets next
    sigmas              noise levels, descending
    scale_by_sigma      divide the output by sigmas[t]
    normalization       InstanceNorm++ or VarianceNorm
    unbiased            their variances divide by n - 1
    align_corners       how the refine blocks enlarge, see `bilinear_resize`
    centered            x is in [-1, 1]; otherwise [0, 1] is mapped to [-1, 1] here
    dtype               compute dtype (None: that of x); parameters stay float32
    remat               blocks are computed again for their gradient, which saves memory

    Source: Song and Ermon 2020, "Improved Techniques for Training Score-Based Generative Models", appendix B.
    """

    channels: int = 128
    ch_mult: Sequence[int] = (1, 2, 2, 2)
    dilations: Sequence[int] = (1, 1, 2, 4)
    refine_mult: Sequence[int] | None = None
    sigmas: Sequence[float] | None = None
    scale_by_sigma: bool = True
    nonlinearity: Callable[[Array], Array] = nn.elu
    normalization: str = "InstanceNorm++"
    unbiased: bool = True
    align_corners: bool = True
    centered: bool = False
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        self._check(x, cond)
        widths = [self.channels * m for m in self.ch_mult]
        refined = next_widths(widths) if self.refine_mult is None else [self.channels * m for m in self.refine_mult]

        def norm(h: Array) -> Array:
            y: Array = NORMALIZATIONS[self.normalization](self.unbiased, self.dtype)(h)
            return y

        x = x if self.centered else 2 * x - 1
        y = refine_net(
            x.astype(self.dtype or x.dtype),
            widths,
            self.dilations,
            refined,
            norm,
            act=self.nonlinearity,
            align_corners=self.align_corners,
            dtype=self.dtype,
            remat=self.remat,
        )
        return y / level_at(self.sigmas, t, "NCSNv2")[:, None, None, None] if self.scale_by_sigma else y

    def _check(self, x: Array, cond: Array | None) -> None:
        check_levels(x, self.ch_mult, self.dilations)
        if self.refine_mult is not None and len(self.refine_mult) != len(self.ch_mult):
            raise ValueError(
                f"expected {len(self.ch_mult)} values of refine_mult, one a level, got {tuple(self.refine_mult)}"
            )
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"expected normalization to be one of {[*NORMALIZATIONS]}, got {self.normalization!r}")
        if cond is not None:
            raise ValueError("a condition came to NCSNv2, which has no classes; take ncsnpp or unet")


def next_widths(widths: Sequence[int]) -> list[int]:
    """Refine block by refine block, the coarsest first, the width of the level that its result meets."""
    return [widths[max(level - 1, 0)] for level in reversed(range(len(widths)))]


def check_levels(x: Array, ch_mult: Sequence[int], dilations: Sequence[int]) -> None:
    """Raises ValueError unless every level has a dilation and x [B, H, W, C] can be halved as often as they say."""
    if len(dilations) != len(ch_mult):
        raise ValueError(f"expected {len(ch_mult)} dilations, one a level, got {tuple(dilations)}")
    check_divisible(x, 1 + sum(dilation == 1 for dilation in dilations[1:]))


ncsnv2_128 = partial(NCSNv2, ch_mult=(1, 2, 2, 4, 4), dilations=(1, 1, 1, 2, 4))
ncsnv2_256 = partial(NCSNv2, ch_mult=(1, 2, 2, 2, 4, 4), dilations=(1, 1, 1, 1, 2, 4))
