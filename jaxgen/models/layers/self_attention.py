"""Self-attention of GANs, over a feature map and a coarser one of itself."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.models.layers.conv import Conv


class SelfAttention(nn.Module):
    """x + gamma W_o softmax(theta phi^T) g, gamma zero at initialization: [B, H, W, C] -> the same.

    theta: C / 8 features at every pixel; phi: C / 8 and g: C / 2 features, max-pooled 2 by 2. H and W even, C a
    multiple of 8. The scores are not divided by the root of their features; their softmax is float32. conv(features,
    (1, 1), use_bias=False) makes the maps.

    Source: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks" (1805.08318), eq. (1) to (3), with the
    pooling of BigGAN (Brock et al. 2019).
    """

    conv: Callable[..., Any] = Conv

    @nn.compact
    def __call__(self, x: Array) -> Array:
        b, h, w, c = x.shape
        if c % 8 or h % 2 or w % 2:
            raise ValueError(f"self-attention needs even sides and channels in multiples of 8, got {h}x{w}x{c}.")

        def features(name: str, width: int) -> Array:
            y: Array = self.conv(width, (1, 1), use_bias=False, name=name)(x)
            return y

        def coarse(y: Array) -> Array:
            return nn.max_pool(y, (2, 2), (2, 2)).reshape(b, h * w // 4, -1)

        theta = features("theta", c // 8).reshape(b, h * w, -1)
        phi, g = coarse(features("phi", c // 8)), coarse(features("g", c // 2))
        scores = jnp.einsum("btd,bsd->bts", theta, phi, preferred_element_type=jnp.promote_types(x.dtype, "f4"))
        y = jnp.einsum("bts,bsd->btd", jax.nn.softmax(scores).astype(g.dtype), g).reshape(b, h, w, -1)
        gamma = self.param("gamma", nn.initializers.zeros_init(), ())
        return x + gamma.astype(x.dtype) * self.conv(c, (1, 1), use_bias=False, name="o")(y)
