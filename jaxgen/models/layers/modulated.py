"""Modulated convolution: a style scales the input channels of a convolution, example by example.

    y_o = d_o sum_i (w_io * s_i x_i),    d_o = 1 / sqrt(sum_{i, k} (s_i w_iok)^2 + 1e-8)

Demodulation d undoes the scale that the style gave to output o, as if the x_i were independent of unit variance. The
scales act on the activations, before and after one convolution with shared weights, instead of on weights of their own
for every example: the same numbers, and no grouped convolution.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", eq. (1) and (3).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from jaxgen.models.layers.resample import plain_conv


def modulated_conv(
    x: Array,
    w: Array,
    s: Array,
    conv: Callable[[Array, Array], Array] = plain_conv,
    demodulate: bool = True,
) -> Array:
    """x: [B, H, W, C], w: [k, k, C, D], s: [B, C] -> [B, H', W', D], computed in the dtype of x, and d in that of w.

    conv(x, w) is the convolution, perhaps fused with a resampler, which must act on all channels alike.
    """
    y = conv(x * s[:, None, None, :].astype(x.dtype), w.astype(x.dtype))
    if not demodulate:
        return y
    d = lax.rsqrt(jnp.square(s) @ jnp.sum(jnp.square(w), (0, 1)) + 1e-8)
    return y * d[:, None, None, :].astype(x.dtype)
