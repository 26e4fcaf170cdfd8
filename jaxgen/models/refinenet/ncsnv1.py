"""NCSN, the score network of Song and Ermon 2019."""

from collections.abc import Callable, Sequence

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.instance_norm import ConditionalInstanceNorm2dPlus
from jaxgen.models.layers.noise_levels import level_at, level_index
from jaxgen.models.refinenet.blocks import mean_pool, refine_net
from jaxgen.models.refinenet.ncsnv2 import check_levels, next_widths


class NCSNv1(nn.Module):
    """y = R(x, t): a RefineNet, every norm of which is told the noise level.

    x: [B, H, W, C] with H and W divisible by 2. t: int [B], the index of the level in sigmas, 0 the noisiest.
    Returns [B, H, W, C] float32. There is no dropout: keys are not used.

    sigmas              noise levels, descending; their number is that of the rows of every embedding
    channels            width of the first level; level i has channels * ch_mult[i]
    dilations           of the convolutions of every level; after the first, a level without (1) halves the resolution
    scale_by_sigma      divide the output by sigmas[t], which the published network does not
    unbiased            variances over the channels divide by C - 1
    align_corners       how the refine blocks enlarge, see `bilinear_resize`
    centered            x is in [-1, 1]; otherwise [0, 1] is mapped to [-1, 1] here
    dtype               compute dtype (None: that of x); parameters stay float32
    remat               blocks are computed again for their gradient, which saves memory

    Source: Song and Ermon 2019, "Generative Modeling by Estimating Gradients of the Data Distribution", appendix A.
    """

    sigmas: Sequence[float]
    channels: int = 128
    ch_mult: Sequence[int] = (1, 2, 2, 2)
    dilations: Sequence[int] = (1, 1, 2, 4)
    scale_by_sigma: bool = False
    nonlinearity: Callable[[Array], Array] = nn.elu
    unbiased: bool = True
    align_corners: bool = True
    centered: bool = False
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        check_levels(x, self.ch_mult, self.dilations)
        if cond is not None:
            raise ValueError("a condition came to NCSNv1, which has no classes; take ncsnpp or unet")
        widths, index = [self.channels * m for m in self.ch_mult], level_index(t, "NCSNv1")

        def norm(h: Array) -> Array:
            y: Array = ConditionalInstanceNorm2dPlus(len(self.sigmas), self.unbiased, self.dtype)(h, index)
            return y

        x = x if self.centered else 2 * x - 1
        y = refine_net(
            x.astype(self.dtype or x.dtype),
            widths,
            self.dilations,
            next_widths(widths),
            norm,
            norm,
            mean_pool,
            self.nonlinearity,
            self.align_corners,
            self.dtype,
            self.remat,
        )
        return y / level_at(self.sigmas, t, "NCSNv1")[:, None, None, None] if self.scale_by_sigma else y
