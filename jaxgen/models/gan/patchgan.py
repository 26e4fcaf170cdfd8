"""PatchGAN: a critic that judges overlapping patches, one logit each.

    conv4s2 - lrelu - [conv4s2 - norm - lrelu] x (layers - 1) - conv4 - norm - lrelu - conv4 -> [B, h, w]

Three layers see patches of 70x70 pixels. Source: Isola et al. 2017, "Image-to-Image Translation with Conditional
Adversarial Networks" (1611.07004), section 3.2.2 and appendix 6.1.2.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.layers.batch_norm import BatchNorm
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.features import show
from jaxgen.models.layers.instance_norm import around_one, standardize

NORMS = "batch", "instance"
WEIGHTS = nn.initializers.normal(0.02)


class PatchGAN(nn.Module):
    """x: [B, H, W, C] -> logits [B, h, w], float32. Norm "batch" is `BatchNorm`; "instance" standardizes every channel
    of every image, without parameters."""

    width: int = 64
    layers: int = 3
    norm: str = "batch"
    num_classes: int = 0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Array:
        if self.norm not in NORMS:
            raise ValueError(f"expected norm 'batch' or 'instance', got {self.norm!r}.")
        if self.num_classes:
            raise ValueError("PatchGAN knows no classes: take another critic, or data.conditional=False.")
        h = x
        for i in range(self.layers + 1):
            features, stride = self.width * min(2**i, 8), 2 if i < self.layers else 1
            bias = i == 0 or self.norm == "instance"
            h = self.conv(features, stride, bias)(h)
            if i:
                h = self.normalized(h, train)
            h = show(self, nn.leaky_relu(h, 0.2))
        logits = self.conv(1, 1, True)(h)[..., 0]
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))

    def conv(self, features: int, stride: int, bias: bool) -> nn.Module:
        return Conv(
            features, (4, 4), stride, padding=((1, 1), (1, 1)), use_bias=bias, kernel_init=WEIGHTS, dtype=self.dtype
        )

    def normalized(self, h: Array, train: bool) -> Array:
        if self.norm == "batch":
            return BatchNorm(train, scale_init=around_one, dtype=self.dtype)(h)
        normal, _ = standardize(h.astype(jnp.promote_types(h.dtype, jnp.float32)), (1, 2))
        return normal.astype(self.dtype or h.dtype)
