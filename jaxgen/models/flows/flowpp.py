r"""Flow++: couplings by mixtures of logistics, with self-attention, and noise of the pixels that is learned.

    z_moved = exp(a) logit F(x_moved) + b,    F: the distribution function of a mixture of logistics
    f = 4 checkerboard couplings, squeeze, 2 of the halves of the channels, 3 checkerboard couplings

Before every coupling each of the two parts is normalized, every element of it by its own scale and shift, and goes
through its own 1x1 convolution. a = tanh(.), and it and the other parameters come from a network of gated convolutions
and attention over all pixels, whose layers are scaled by what the first batch measures.

Source: Ho et al. 2019, "Flow++: Improving Flow-Based Generative Models with Variational Dequantization and Architecture
Design" (1902.00275), sections 3 and 4, with the layers of its code for CIFAR-10, which has no weight normalization, and
its 31,443,440 parameters. Unlike that code, checkerboards are the paper's and not even and odd columns, scales of the
normalization are trained as their logarithms, and the dequantizer is shown the image in model space.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxgen.bijectors.bijector import Bijector, chain, invert
from jaxgen.bijectors.coupling import coupling
from jaxgen.bijectors.elementwise import affine, logit
from jaxgen.bijectors.linear import linear
from jaxgen.bijectors.logistic_mixture import logistic_mixture
from jaxgen.bijectors.split import Split, apart, channels, flatten, swap
from jaxgen.bijectors.squeeze import squeeze
from jaxgen.models.autoregressive.gated_residual import concat_elu
from jaxgen.models.flows.flow import Flow
from jaxgen.models.flows.step import ActNorm
from jaxgen.models.layers.attention import attention
from jaxgen.models.layers.conv import conv_general_dilated
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.remat import rematerialized

EPSILON = 1e-5  # of layer normalization
NARROWEST = -7.0  # log scale of a component
START = 0.1  # standard deviation at first of what is added to a layer's input, and of the parameters of couplings
LOOKS = 3  # gated convolutions over the image that the dequantizer sees


class Measured(nn.Module):
    """W * x + b over `size` x `size` pixels, [B, H, W, C] -> [B, H, W, features]. Every channel of the output for the
    batch that `init` sees has mean 0 and standard deviation `scale`."""

    features: int
    size: int = 1
    scale: float = 1.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.normal(0.05), (self.size, self.size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))

        def convolved(x: Array, kernel: Array) -> Array:
            return conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

        if self.is_initializing():
            first = convolved(x.astype(kernel.dtype), kernel)
            gain = self.scale / jnp.sqrt(first.var((0, 1, 2)) + 1e-8)
            kernel, bias = kernel * gain, -gain * first.mean((0, 1, 2))
            self.put_variable("params", "kernel", kernel)
            self.put_variable("params", "bias", bias)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return convolved(x, kernel) + bias


class GatedConv(nn.Module):
    """h + a sigmoid(b), (a, b) of two convolutions of h [B, H, W, C], the first of 3x3 pixels, which also sees the
    context [B, H, W, .], the second of `size` x `size` (section 3.3)."""

    size: int
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, context: Array | None = None, keys: Array | None = None) -> Array:
        width = h.shape[-1]
        u = Measured(width, 3, dtype=self.dtype)(concat_elu(h))
        if context is not None:
            u += Measured(width, dtype=self.dtype)(concat_elu(context))
        u = Dropout(self.dropout)(concat_elu(u), keys)
        return h + nn.glu(Measured(2 * width, self.size, START, self.dtype)(u))


class GatedAttention(nn.Module):
    """h + a sigmoid(b), (a, b) = W attention(h + places) over all pixels, h [B, H, W, C], places [H, W, C]."""

    heads: int
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, places: Array, keys: Array | None = None) -> Array:
        b, height, width, c = h.shape
        if c % self.heads:
            raise ValueError(f"expected a number of heads that divides the {c} channels, got {self.heads}.")
        told = Measured(3 * c, dtype=self.dtype)(h + places.astype(h.dtype))
        q, k, v = jnp.moveaxis(told.reshape(b, height * width, 3, self.heads, -1), 2, 0)
        y = Dropout(self.dropout)(attention(q, k, v).reshape(h.shape), keys)
        return h + nn.glu(Measured(2 * c, 1, START, self.dtype)(y))


class Network(nn.Module):
    """x [B, H, W, C], context [B, H, W, .] or None, cond int [B] or None -> y [B, H, W, outputs] float32: blocks of a
    gated convolution and gated attention, each followed by layer normalization."""

    outputs: int
    width: int
    blocks: int
    heads: int
    dropout: float = 0.0
    num_classes: int = 0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self, x: Array, context: Array | None = None, cond: Array | None = None, keys: Array | None = None
    ) -> Array:
        h = Measured(self.width, 3, dtype=self.dtype)(x)
        if cond is not None:
            h += nn.Embed(self.num_classes, self.width, dtype=self.dtype)(cond)[:, None, None]
        places = self.param("places", nn.initializers.normal(0.01), h.shape[1:])
        for _ in range(self.blocks):
            h = GatedConv(1, self.dropout, self.dtype)(h, context, keys)
            h = nn.LayerNorm(EPSILON, self.dtype)(h)
            h = GatedAttention(self.heads, self.dropout, self.dtype)(h, places, keys)
            h = nn.LayerNorm(EPSILON, self.dtype)(h)
        y = Measured(self.outputs, 3, START, self.dtype)(h)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))


class Part(nn.Module):
    """A scale and a shift of every element of x [B, *shape], then a 1x1 convolution that starts near the identity."""

    shape: tuple[int, int, int]

    def setup(self) -> None:
        def start(key: Array) -> Array:
            return jnp.eye(self.shape[-1]) + 1e-3 * jax.random.normal(key, (self.shape[-1],) * 2)

        self.norm, self.weight = ActNorm(math.prod(self.shape)), self.param("weight", start)

    def bijector(self) -> Bijector:
        flat = flatten(self.shape)
        return chain(flat, self.norm.bijector(), invert(flat), linear(self.weight))


class Coupling(nn.Module):
    """The coupling of `split`, of x whose two parts are [B, *shape] each, by mixtures of as many `components`."""

    split: Split
    shape: tuple[int, int, int]
    components: int
    conditioner: Callable[[], nn.Module]

    def setup(self) -> None:
        self.kept, self.moved = Part(self.shape), Part(self.shape)
        self.network = self.conditioner()

    def bijector(self, cond: Array | None, keys: Array | None, context: Array | None = None) -> Bijector:
        def parameters(kept: Array) -> tuple[Array, ...]:
            y = self.network(kept, context, cond, keys).reshape(*kept.shape, 2 + 3 * self.components)
            return jnp.tanh(y[..., 0]), y[..., 1], *jnp.split(y[..., 2:], 3, axis=-1)

        normalized = apart(self.split, self.kept.bijector(), self.moved.bijector())
        return chain(normalized, coupling(self.split, parameters, mixture_affine))


def mixture_affine(parameters: tuple[Array, ...]) -> Bijector:
    """z = exp(log_scale) logit F(x) + shift, elementwise, of (log_scale, shift, logits, means and log scales of F)."""
    log_scale, shift, logits, means, log_scales = parameters
    return chain(logistic_mixture(logits, means, jnp.maximum(log_scales, NARROWEST)), affine(shift, log_scale))


def parts(parity: int = 0) -> Split:
    """The pixels of one color of the checkerboard are kept, those of the other moved, [B, H, W / 2, C] each."""

    def turn(pairs: Array) -> Array:
        odd = (jnp.arange(pairs.shape[1]) % 2 != parity)[:, None, None, None]
        return jnp.where(odd, pairs[..., ::-1, :], pairs)

    def part(x: Array) -> tuple[Array, Array]:
        if x.shape[2] % 2:
            raise ValueError(
                f"a checkerboard of pairs needs an even width, got {x.shape[2]}: crop or pad the images to a width "
                f"that 2 divides, or 4 where such couplings follow a squeeze."
            )
        pairs = turn(x.reshape(*x.shape[:2], -1, 2, x.shape[-1]))
        return pairs[..., 0, :], pairs[..., 1, :]

    def join(kept: Array, moved: Array) -> Array:
        b, height, half, c = kept.shape
        return turn(jnp.stack([kept, moved], axis=-2)).reshape(b, height, 2 * half, c)

    return Split(part, join)


class Couplings(nn.Module, kw_only=True):
    """What the flow and the dequantizer are made of. width, blocks, heads: of the networks; dropout: inside the blocks;
    components: of the mixtures. The others are those of `Flow`."""

    shape: tuple[int, ...]
    num_classes: int = 0
    dtype: DTypeLike | None = None
    remat: bool = False
    width: int = 96
    blocks: int = 10
    heads: int = 4
    components: int = 32
    dropout: float = 0.2

    def couplings(self, splits: Sequence[Split], shape: tuple[int, int, int]) -> list[Coupling]:
        """One for each of the splits, into parts of this shape."""
        make = partial(
            rematerialized(Network, self.remat),
            shape[-1] * (2 + 3 * self.components),
            self.width,
            self.blocks,
            self.heads,
            self.dropout,
            self.num_classes,
            self.dtype,
        )
        return [Coupling(split, shape, self.components, make) for split in splits]


class FlowPP(Couplings, Flow, kw_only=True):
    """x [B, H, W, C] -> z [B, H W C], H a multiple of 2 and W of 4. numbers: of couplings before the squeeze, and of
    those of channels and of pixels after it."""

    numbers: tuple[int, int, int] = (4, 2, 3)

    def setup(self) -> None:
        (height, width, size), (first, second, third) = self.image, self.numbers
        self.checkered = self.couplings(turns(parts(), first), (height, width // 2, size))
        self.squeezed = self.couplings(turns(channels(2 * size), second), (height // 2, width // 2, 2 * size))
        self.last = self.couplings(turns(parts(), third), (height // 2, width // 4, 4 * size))

    def bijector(self, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Bijector:
        height, width, size = self.image
        steps = [coupling.bijector(cond, keys) for coupling in self.checkered] + [squeeze()]
        steps += [coupling.bijector(cond, keys) for coupling in (*self.squeezed, *self.last)]
        return chain(*steps, flatten((height // 2, width // 2, 4 * size)))


class FlowPPDequantizer(Couplings, kw_only=True):
    """The noise u in (0, 1) of every element of x [B, H, W, C], in model space, from eps ~ N(0, I): (u, log |det
    du/deps| [B]), of shape [B, H, W, C]. `number` checkerboard couplings of eps, whose networks see so many `features`
    of the pairs of pixels of x, then a sigmoid (section 3.1)."""

    blocks: int = 2
    number: int = 4
    features: int = 32

    def setup(self) -> None:
        height, width, size = self.shape
        self.see = Measured(self.features, 3, dtype=self.dtype)
        self.look = [GatedConv(3, self.dropout, self.dtype) for _ in range(LOOKS)]
        self.checkered = self.couplings(turns(parts(), self.number), (height, width // 2, size))

    def __call__(
        self, x: Array, eps: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False
    ) -> tuple[Array, Array]:
        context = self.see(jnp.concatenate(parts().part(x), axis=-1))
        for layer in self.look:
            context = layer(context, None, keys)
        steps = [coupling.bijector(cond, keys, context) for coupling in self.checkered]
        return chain(*steps, invert(logit())).forward_and_log_det(eps)


def turns(split: Split, number: int) -> list[Split]:
    """The split and its swap, in turns."""
    return [swap(split) if i % 2 else split for i in range(number)]
