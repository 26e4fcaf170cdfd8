"""Layers with an equalized learning rate: the scale of an initializer is applied at run time.

    y = act(c m W x + m b),    W ~ N(0, 1/m^2) at first,    c = 1 / sqrt(fan in)

so every W has entries of the same size and Adam moves all of them at the same relative speed; m is a multiplier of the
learning rate of this layer.

Source: Karras et al. 2018, "Progressive Growing of GANs", section 4.1; Karras et al. 2019 (StyleGAN), appendix C.
"""

import math
from collections.abc import Callable

import flax.linen as nn
from jax import Array

from jaxgen.models.layers.bias_act import bias_act
from jaxgen.models.layers.resample import plain_conv


class EqualizedDense(nn.Module):
    """[B, D] -> [B, features]. `bias` is the first value of the bias, `multiplier` is m."""

    features: int
    act: str = "linear"
    multiplier: float = 1.0
    bias: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        w = self.param("weight", nn.initializers.normal(1 / self.multiplier), (x.shape[-1], self.features))
        b = self.param("bias", nn.initializers.constant(self.bias), (self.features,))
        return bias_act(x @ (w * (self.multiplier / math.sqrt(x.shape[-1]))), b * self.multiplier, self.act)


class EqualizedConv(nn.Module):
    """[B, H, W, C] -> [B, H', W', features] in the dtype of x: `conv(x, w)`, a size x size convolution perhaps fused
    with a resampler, then the nonlinearity, times `gain`. The clamp is that before the gain."""

    features: int
    size: int = 3
    conv: Callable[[Array, Array], Array] = plain_conv
    biased: bool = True
    act: str = "lrelu"
    gain: float = 1.0
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        w = self.param("weight", nn.initializers.normal(1.0), shape)
        b = self.param("bias", nn.initializers.zeros_init(), (self.features,)) if self.biased else None
        y = self.conv(x, (w / math.sqrt(math.prod(shape[:-1]))).astype(x.dtype))
        return bias_act(y, b, self.act, self.clamp) * self.gain
