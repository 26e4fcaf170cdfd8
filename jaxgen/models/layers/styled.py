"""The layers of StyleGAN2 that have a style: an affine map of w scales the channels that a convolution reads.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2; figure 2 (d).
"""

from collections.abc import Callable

import flax.linen as nn
import jax
from jax import Array

from jaxgen import gaussian
from jaxgen.models.layers.bias_act import bias_act
from jaxgen.models.layers.equalized import EqualizedDense
from jaxgen.models.layers.modulated import modulated_conv
from jaxgen.models.layers.resample import plain_conv
from jaxgen.models.layers.salt import salt


class StyledConv(nn.Module):
    """lrelu(modulated_conv(x, W, A w) + strength * noise + b): [B, H, W, C] -> [B, H', W', features].

    w: [B, D]; keys: one key per example that the noise is drawn from, None: the constant noise.
    """

    features: int
    conv: Callable[[Array, Array], Array] = plain_conv
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: Array, w: Array, keys: Array | None = None) -> Array:
        s = EqualizedDense(x.shape[-1], bias=1.0, name="affine")(w)
        kernel = self.param("weight", nn.initializers.normal(1.0), (3, 3, x.shape[-1], self.features))
        x = modulated_conv(x, kernel, s, self.conv)
        shape = x.shape[1:3]
        constant = self.variable(
            "buffers", "noise_const", lambda: jax.random.normal(self.make_rng("params"), shape, kernel.dtype)
        )
        noise = constant.value
        if keys is not None:
            place = salt(self)
            noise = gaussian.noise(keys, place, shape, noise.dtype)
        strength = self.param("noise_strength", nn.initializers.zeros_init(), ())
        x += (strength * noise)[..., None].astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return bias_act(x, bias, "lrelu", self.clamp)


class ToRGB(nn.Module):
    """A modulated 1x1 convolution without demodulation: [B, H, W, C] -> [B, H, W, features], in the dtype of w."""

    features: int
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: Array, w: Array) -> Array:
        channels = x.shape[-1]
        s = EqualizedDense(channels, bias=1.0, name="affine")(w) / channels**0.5
        kernel = self.param("weight", nn.initializers.normal(1.0), (1, 1, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return bias_act(modulated_conv(x, kernel, s, demodulate=False), bias, clamp=self.clamp).astype(w.dtype)
