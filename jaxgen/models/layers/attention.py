"""Self-attention over the pixels of a feature map."""

import flax.linen as nn
import jax
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.initializers import fan_avg
from jaxgen.models.layers.norm import GroupNorm


class NIN(nn.Module):
    """y = x W + b at every pixel, [..., C] -> [..., features]: the "network in network" 1x1 convolution."""

    features: int
    init_scale: float = 0.1
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        w = self.param("W", fan_avg(self.init_scale), (x.shape[-1], self.features))
        b = self.param("b", nn.initializers.zeros_init(), (self.features,))
        x, w, b = nn.dtypes.promote_dtype(x, w, b, dtype=self.dtype)
        return x @ w + b


class AttnBlockpp(nn.Module):
    """x + W_o softmax(q k^T / sqrt(d)) v with q, k, v = W_{q,k,v} norm(x) over all H W pixels.

    x: [B, H, W, C]; heads must divide C. skip_rescale divides the sum by sqrt(2).

    Source: Vaswani et al. 2017, eq. (1); its place in an image network, Ho et al. 2020 (DDPM), appendix B.
    """

    heads: int = 1
    skip_rescale: bool = False
    init_scale: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        b, h, w, c = x.shape
        if c % self.heads:
            raise ValueError(f"expected a number of heads that divides the {c} channels, got {self.heads}")
        y = GroupNorm(self.dtype)(x)
        q, k, v = (NIN(c, dtype=self.dtype)(y).reshape(b, h * w, self.heads, -1) for _ in range(3))
        y = jax.nn.dot_product_attention(q, k, v).reshape(b, h, w, c)
        y = x + NIN(c, self.init_scale, dtype=self.dtype)(y)
        return y * 0.5**0.5 if self.skip_rescale else y
