"""A convolution of every channel by itself, as a sum of shifted images.

    y[b, i, j, c] = bias[c] + sum_{u,v} w[u, v, c] x[b, s i + u - p, s j + v - p', c]

XLA fuses the k^2 shifts into one pass over the image, which on a CPU is 15 to 35 times faster than its grouped
convolution.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax


class DepthwiseConv(nn.Module):
    """x [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), C], with as many zeros after the image as before it, or
    one more (TensorFlow's "SAME"). The kernel [size, size, 1, C] is that of `nn.Conv` with C groups."""

    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        channels, k, s = x.shape[-1], self.size, self.stride
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (k, k, 1, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        pads = lax.padtype_to_pads(x.shape[1:3], (k, k), (s, s), "SAME")
        padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        height, width = (s * (-(-n // s) - 1) + 1 for n in x.shape[1:3])
        shifted = (
            padded[:, u : u + height : s, v : v + width : s] * kernel[u, v, 0] for u in range(k) for v in range(k)
        )
        return sum(shifted, bias)
