"""The generator of StyleGAN2, with the architecture "skip": an image grows by what every resolution adds to it.

    w = F(z, c),    w <- w_avg + psi (w - w_avg),    x = G(w_1, ..., w_L)

A mapping network F makes a style of the latent vector; one style modulates each convolution of the synthesis network G.
Parameters have the published names (`synthesis/b8/conv0/affine/weight`); kernels are HWIO, that of an upsampling
convolution is the published one mirrored in both axes. The collection "buffers" holds w_avg and the constant noise.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; Karras et al. 2019 (StyleGAN) for
style mixing (section 3.1), truncation (appendix B) and noise inputs (section 2).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from jaxgen.models.layers.equalized import EqualizedDense
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.resample import fir_upsample, upsample_conv
from jaxgen.models.layers.salt import salt
from jaxgen.models.layers.styled import StyledConv, ToRGB


def resolutions(height: int, width: int) -> list[int]:
    """4, 8, ..., height. Raises ValueError unless images are squares of such a side, of at least 8 pixels."""
    if height != width or height < 8 or height & (height - 1):
        raise ValueError(
            f"StyleGAN2 makes and judges squares of 8, 16, 32, ... pixels a side, got {height} x {width}; resize the "
            "images with data.image_size"
        )
    return [4 << i for i in range(height.bit_length() - 2)]


def normalized(x: Array) -> Array:
    """x [B, D] over its root mean square."""
    return x * lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


class Mapping(nn.Module):
    """F_n(...F_1([z, E c])), the two parts of the input normalized, F_i = lrelu(W_i h + b_i) that learn at a hundredth
    of the rate.

    z: [B, latent] or None; cond: int [B] or None. Returns [B, features].
    """

    features: int
    layers: int
    num_classes: int = 0

    @nn.compact
    def __call__(self, z: Array | None, cond: Array | None = None) -> Array:
        parts = [] if z is None else [normalized(z)]
        if cond is not None:
            code = jax.nn.one_hot(cond, self.num_classes)
            parts.append(normalized(EqualizedDense(self.features, name="embed")(code)))
        h = jnp.concatenate(parts, axis=-1)
        for i in range(self.layers):
            h = EqualizedDense(self.features, "lrelu", multiplier=0.01, name=f"fc{i}")(h)
        return h


class SynthesisBlock(nn.Module):
    """One resolution: features go up by two convolutions, the image by a filter, and the image gains what the features
    show.

    x: [B, H, W, C] and image: [B, H, W, out_channels], or None for both at 4x4, where a learned constant and one
    convolution take their place; w: [B, layers, D], of which the last two are those of the second convolution and of
    the image, and the first that of the first convolution.
    """

    features: int
    out_channels: int
    clamp: float | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array | None, image: Array | None, w: Array, keys: Array | None) -> tuple[Array, Array]:
        if x is None:
            const = self.param("const", nn.initializers.normal(1.0), (4, 4, self.features))
            x = jnp.broadcast_to(const, (w.shape[0], *const.shape)).astype(self.dtype or const.dtype)
        else:
            x = StyledConv(self.features, upsample_conv, self.clamp, name="conv0")(x, w[:, 0], keys)
        x = StyledConv(self.features, clamp=self.clamp, name="conv1")(x, w[:, -2], keys)
        y = ToRGB(self.out_channels, self.clamp, name="torgb")(x, w[:, -1])
        return x, y if image is None else fir_upsample(image) + y


class Synthesis(nn.Module):
    """w: [B, L, D] -> images [B, H, W, C], with L = 2 log2(H) - 2: the image shares its style with the convolution that
    follows it."""

    shape: tuple[int, int, int]
    channel_base: int
    channel_max: int
    clamp: float | None = None
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, w: Array, keys: Array | None = None) -> Array:
        x: Any = None
        image: Any = None
        for i, size in enumerate(resolutions(*self.shape[:2])):
            width = min(self.channel_base // size, self.channel_max)
            block = rematerialized(SynthesisBlock, self.remat)(
                width, self.shape[2], self.clamp, self.dtype, name=f"b{size}"
            )
            x, image = block(x, image, w[:, max(2 * i - 1, 0) : 2 * i + 2], keys)
        return jnp.asarray(image)


class StyleGAN2Generator(nn.Module):
    """z: [B, latent] ~ N(0, I), cond: int [B] or None -> images [B, H, W, C], float32, not bounded.

    shape: (H, W, C), a square of 8, 16, 32, ... pixels a side. style, layers: dimensions of w and depth of the mapping
    network. A resolution of n pixels has min(channel_base / n, channel_max) features. clamp bounds activations, which
    float16 needs and bfloat16, of float32's range, does not. keys: one per example, None: constant noise. train: w_avg
    moves to the batch mean of w by 1 - decay, and, given keys, a share `mixing` of the examples changes to the style of
    another latent vector at a layer drawn from all but the first. truncation: psi; 1 leaves w as it is.
    """

    shape: tuple[int, int, int]
    latent: int = 512
    num_classes: int = 0
    style: int = 512
    layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    mixing: float = 0.9
    decay: float = 0.995
    clamp: float | None = None
    dtype: DTypeLike | None = None
    remat: bool = False

    def setup(self) -> None:
        self.mapping = Mapping(self.style, self.layers, self.num_classes)
        self.synthesis = Synthesis(self.shape, self.channel_base, self.channel_max, self.clamp, self.dtype, self.remat)
        self.w_avg = self.variable("buffers", "w_avg", jnp.zeros, (self.style,))

    def __call__(
        self,
        z: Array,
        cond: Array | None = None,
        keys: Array | None = None,
        train: bool = False,
        truncation: float | Array = 1.0,
    ) -> Array:
        return self.synthesize(self.styles(z, cond, keys, train, truncation), keys)

    def styles(
        self,
        z: Array,
        cond: Array | None = None,
        keys: Array | None = None,
        train: bool = False,
        truncation: float | Array = 1.0,
    ) -> Array:
        """w [B, L, style], one style per layer."""
        cond = labels(cond, self.num_classes, z.shape[0])
        w = self.mapping(z, cond)
        average = self.w_avg.value
        if train and self.is_mutable_collection("buffers"):
            middle = lax.stop_gradient(jnp.mean(w, axis=0))
            self.w_avg.value = (middle + self.decay * (average - middle)).astype(average.dtype)
        count = 2 * len(resolutions(*self.shape[:2]))
        styles = jnp.broadcast_to(w[:, None], (w.shape[0], count, self.style))
        if train and keys is not None and self.mixing:
            others, start = jax.vmap(self.crossover, (0, None))(keys, count)
            other = self.mapping(others.astype(z.dtype), cond)
            styles = jnp.where((jnp.arange(count) < start[:, None])[..., None], styles, other[:, None])
        return average + truncation * (styles - average)

    def synthesize(self, w: Array, keys: Array | None = None) -> Array:
        """Images [B, H, W, C] of styles [B, L, style]."""
        image = self.synthesis(w, keys)
        return image.astype(jnp.promote_types(image.dtype, jnp.float32))

    def crossover(self, key: Array, count: int) -> tuple[Array, Array]:
        """The other latent vector, and the layer it takes over from: `count` is never."""
        mixed, layer, z = jax.random.split(jax.random.fold_in(key, salt(self)), 3)
        start = jax.random.randint(layer, (), 1, count)
        start = jnp.where(jax.random.bernoulli(mixed, self.mixing), start, count)
        return jax.random.normal(z, (self.latent,)), start
