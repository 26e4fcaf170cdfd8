"""Resampling of NHWC images by a factor of two: FIR filters, alone or fused with a convolution, and naive; and
bilinear to any size.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B; Zhang 2019,
"Making Convolutional Networks Shift-Invariant Again".
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxgen.models.layers.conv import conv_general_dilated
from jaxgen.upfirdn import upfirdn2d


def _taps(kernel: Sequence[float]) -> np.ndarray:
    """The filter with sum 1."""
    return np.asarray(kernel, float) / sum(kernel)


def fir_upsample(x: Array, kernel: Sequence[float] = (1, 3, 3, 1)) -> Array:
    """[B, H, W, C] -> [B, 2H, 2W, C]: a zero after every sample, then the filter, of gain 2 along each axis."""
    before = (len(kernel) + 1) // 2
    return upfirdn2d(x, _taps(kernel), up=2, padding=(before, len(kernel) - 1 - before), gain=4)


def fir_downsample(x: Array, kernel: Sequence[float] = (1, 3, 3, 1)) -> Array:
    """[B, H, W, C] -> [B, H/2, W/2, C]: the filter, of gain 1, at every second sample."""
    p = len(kernel) - 2
    return upfirdn2d(x, _taps(kernel), down=2, padding=((p + 1) // 2, p // 2))


def plain_conv(x: Array, w: Array) -> Array:
    """A convolution as it is: [B, H, W, C] -> [B, H, W, D], w: [k, k, C, D]."""
    return conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def upsample_conv(x: Array, w: Array, kernel: Sequence[float] = (1, 3, 3, 1)) -> Array:
    """The filter after a convolution of stride 1/2: [B, H, W, C] -> [B, 2H, 2W, D], w: [k, k, C, D]."""
    k = w.shape[0]
    p = len(kernel) - 2 - (k - 1)
    y = lax.conv_general_dilated(
        x, w, (1, 1), [(k - 1, k - 1)] * 2, lhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return upfirdn2d(y, _taps(kernel), padding=((p + 1) // 2 + 1, p // 2 + 1), gain=4)


def downsample_conv(x: Array, w: Array, kernel: Sequence[float] = (1, 3, 3, 1)) -> Array:
    """A convolution of stride 2 after the filter: [B, H, W, C] -> [B, H/2, W/2, D], w: [k, k, C, D]."""
    p = len(kernel) - 2 + (w.shape[0] - 1)
    y = upfirdn2d(x, _taps(kernel), padding=((p + 1) // 2, p // 2))
    return lax.conv_general_dilated(y, w, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def nearest_upsample(x: Array) -> Array:
    """Every pixel four times: [B, H, W, C] -> [B, 2H, 2W, C]."""
    b, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c)).reshape(b, 2 * h, 2 * w, c)


def mean_downsample(x: Array) -> Array:
    """The mean of every 2x2 block: [B, H, W, C] -> [B, H/2, W/2, C]."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def bilinear_resize(x: Array, height: int, width: int, align_corners: bool = True) -> Array:
    """[B, H, W, C] -> [B, height, width, C], by linear interpolation along both axes; for enlarging.

    align_corners: output i lies at i (H - 1) / (height - 1), so that the corners coincide; otherwise at
    (i + 1/2) H / height - 1/2, so that the borders do.
    """
    shape = (x.shape[0], height, width, x.shape[3])
    scales, shifts = [], []
    for old, new in zip(x.shape[1:3], (height, width), strict=True):
        corners = align_corners and old > 1
        scales.append((new - 1) / (old - 1) if corners else new / old)
        shifts.append(0.5 * (1 - scales[-1]) if corners else 0.0)
    scale, shift = (jnp.asarray(a, jnp.promote_types(x.dtype, jnp.float32)) for a in (scales, shifts))
    return jax.image.scale_and_translate(x, shape, (1, 2), scale, shift, "linear", antialias=False)


def check_divisible(x: Array, levels: int) -> None:
    """Raises ValueError unless H and W of x [B, H, W, C] can be halved levels - 1 times."""
    factor = 2 ** (levels - 1)
    if x.ndim != 4 or x.shape[1] % factor or x.shape[2] % factor:
        raise ValueError(
            f"expected images [B, H, W, C] with H and W divisible by {factor} for {levels} levels, "
            f"got {x.shape}; pad the images or use fewer levels"
        )
