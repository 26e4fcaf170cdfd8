"""TarFlow: autoregressive flows over the patches of an image, with causal transformers as conditioners.

    z = f_n(.. f_1(patches(x))),    f: z_t = (x_t - shift(x_<t)) exp(-log_scale(x_<t))

Every second f goes from the last patch to the first. A guided flow is another one, whose parameters h = (log_scale,
shift) go away from those of a weaker conditioner, the more the later the patch:

    h_t = strong_t + w_t (strong_t - weak_t),   w_t = (weight - 1) t / (T - 1),   t = 0 .. T - 1

The weaker one knows no class, or attends at another temperature, or both.

Source: Zhai et al. 2024, "Normalizing Flows are Capable Generative Models" (2412.06329), sections 2.3 and 2.6, whose
weight of guidance is weight - 1. Its code takes means of log-determinants and log-densities over the dimensions; here
they are sums, as everywhere.
"""

from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from jaxgen.bijectors.autoregressive import Incremental, autoregressive
from jaxgen.bijectors.bijector import Bijector, chain, invert, rearrangement
from jaxgen.bijectors.elementwise import affine
from jaxgen.bijectors.split import flatten
from jaxgen.bijectors.squeeze import squeeze
from jaxgen.models.flows.flow import Flow
from jaxgen.models.layers.causal_attention import CausalBlock, Memory, memory
from jaxgen.models.layers.remat import rematerialized


def standardize(parameters: tuple[Array, Array]) -> Bijector:
    """z = (x - shift) exp(-log_scale) of (log_scale, shift)."""
    log_scale, shift = parameters
    return invert(affine(shift, log_scale))


class Conditioner(nn.Module):
    """tokens x [B, T, C] -> (log_scale, shift), [B, T, C] each, of every token as the tokens before it say; zero of the
    first one, and of all at initialization.

    cond: int [B] where there are classes; num_classes stands for none and is the mean of them all. temperature: by
    which the logits of attention are divided.

    Embeddings of places and classes start as large as those of tokens, and weights at 1/sqrt(fan-in): beside tokens a
    hundred times as large, as published, short training heeds neither place nor class."""

    tokens: int
    channels: int
    width: int
    depth: int
    heads: int
    dropout: float = 0.0
    num_classes: int = 0
    dtype: DTypeLike | None = None
    remat: bool = False

    def setup(self) -> None:
        start, weights = nn.initializers.normal(1.0), nn.initializers.lecun_normal()
        self.embed = nn.Dense(self.width, dtype=self.dtype)
        self.places = self.param("places", start, (self.tokens, self.width))
        if self.num_classes:
            self.classes = self.param("classes", start, (self.num_classes, self.width))
        block = rematerialized(CausalBlock, self.remat)
        self.blocks = [
            block(self.heads, kernel_init=weights, out_init=weights, dropout=self.dropout, dtype=self.dtype)
            for _ in range(self.depth)
        ]
        self.head = nn.Dense(2 * self.channels, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype)

    def __call__(
        self, x: Array, cond: Array | None = None, keys: Array | None = None, temperature: float = 1.0
    ) -> tuple[Array, Array]:
        y, _ = self.after(x[:, :-1], cond, keys, temperature)
        return self.moments(jnp.pad(y, ((0, 0), (1, 0), (0, 0))))

    def start(self, batch: int) -> tuple[Memory, ...]:
        kind = self.dtype or self.places.dtype
        return tuple(memory(batch, self.tokens, self.heads, self.width, kind) for _ in range(self.depth))

    def step(
        self,
        memories: tuple[Memory, ...],
        x: Array,
        position: Array,
        cond: Array | None = None,
        temperature: float = 1.0,
    ) -> tuple[tuple[Array, Array], tuple[Memory, ...]]:
        """(log_scale, shift), [B, 1, C] each, of the token at `position`, and the memory of those before it."""
        last = jnp.maximum(position - 1, 0)
        before = lax.dynamic_slice_in_dim(x, last, 1, axis=1)
        y, memories = self.after(before, cond, None, temperature, memories, last)
        return self.moments(jnp.where(position == 0, 0, y)), memories

    def after(
        self,
        x: Array,
        cond: Array | None,
        keys: Array | None,
        temperature: float,
        memories: tuple[Memory, ...] | None = None,
        position: Array | int = 0,
    ) -> tuple[Array, tuple[Memory, ...]]:
        """What the tokens x [B, T, C] from `position` on say of the next one each, [B, T, 2 C]."""
        h = self.embed(x) + lax.dynamic_slice_in_dim(self.places, position, x.shape[1])
        if cond is not None:
            known = jnp.concatenate([self.classes, jnp.mean(self.classes, axis=0, keepdims=True)])
            h = h + jnp.take(known, cond, axis=0)[:, None]
        h, present = h.astype(self.dtype or h.dtype), []
        for i, block in enumerate(self.blocks):
            h, remembered = block(h, keys, None if memories is None else memories[i], position, temperature)
            present.append(remembered)
        return self.head(h), tuple(present)

    def moments(self, y: Array) -> tuple[Array, Array]:
        log_scale, shift = jnp.split(y.astype(jnp.promote_types(y.dtype, jnp.float32)), 2, axis=-1)
        return log_scale, shift

    def bijector(self, cond: Array | None = None, keys: Array | None = None) -> Bijector:
        """tokens [B, T, C] -> [B, T, C]. The inverse keeps keys and values of the tokens it has."""
        cached = Incremental(self.start, lambda cache, x, position: self.step(cache, x, position, cond))
        return autoregressive(lambda x: self(x, cond, keys), standardize, cached)

    def guided(self, cond: Array | None, weak: Array | None, weight: float, temperature: float = 1.0) -> Bijector:
        """The bijector of the class `cond`, away from that of the class `weak` at this temperature of attention."""
        grown = (weight - 1) * jnp.linspace(0, 1, self.tokens)[:, None]

        def away(strong: tuple[Array, Array], poor: tuple[Array, Array], amount: Array) -> tuple[Array, Array]:
            log_scale, shift = jax.tree.map(lambda s, p: s + amount * (s - p), strong, poor)
            return log_scale, shift

        def whole(x: Array) -> tuple[Array, Array]:
            return away(self(x, cond), self(x, weak, None, temperature), grown)

        def step(caches: Any, x: Array, position: Array) -> tuple[tuple[Array, Array], Any]:
            strong, own = self.step(caches[0], x, position, cond)
            poor, other = self.step(caches[1], x, position, weak, temperature)
            return away(strong, poor, grown[position]), (own, other)

        return autoregressive(whole, standardize, Incremental(lambda batch: (self.start(batch),) * 2, step))


class TarFlow(Flow, kw_only=True):
    """x [B, H, W, C] -> z [B, H W C], H and W multiples of `patch`. The class num_classes stands for none.

    flows, depth     conditioners, and blocks of each
    width, heads     of the blocks
    dropout          at the end of every branch
    """

    patch: int = 2
    flows: int = 8
    depth: int = 8
    width: int = 768
    heads: int = 12
    dropout: float = 0.0

    def setup(self) -> None:
        tokens, channels = self.patches
        self.conditioners = [
            Conditioner(
                tokens,
                channels,
                self.width,
                self.depth,
                self.heads,
                self.dropout,
                self.num_classes,
                self.dtype,
                self.remat,
            )
            for _ in range(self.flows)
        ]

    @property
    def patches(self) -> tuple[int, int]:
        """How many there are, and the numbers in each."""
        height, width, channels = self.image
        return height * width // self.patch**2, channels * self.patch**2

    def bijector(self, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Bijector:
        return self.chained(conditioner.bijector(cond, keys) for conditioner in self.conditioners)

    def guided(self, cond: Array | None, weak: Array | None, weight: float, temperature: float = 1.0) -> Bijector:
        """The flow of the class `cond`, guided away from that of the class `weak`, num_classes for none, at this
        temperature of attention; weight = 1 is `bijector(cond)`."""
        return self.chained(conditioner.guided(cond, weak, weight, temperature) for conditioner in self.conditioners)

    def chained(self, flows: Iterable[Bijector]) -> Bijector:
        """[B, H, W, C] -> [B, H W C] through flows of tokens, every second one from the last to the first."""
        turned = rearrangement(*(lambda x: x[:, ::-1],) * 2)
        steps = [chain(turned, flow, turned) if i % 2 else flow for i, flow in enumerate(flows)]
        return chain(patchify(self.shape, self.patch), *steps, flatten(self.patches))


def patchify(shape: tuple[int, ...], patch: int) -> Bijector:
    """[B, H, W, C] -> [B, patches, C patch^2], in raster order."""
    height, width, channels = shape
    grid = height // patch, width // patch, channels * patch**2
    rows = rearrangement(lambda x: x.reshape(len(x), -1, grid[2]), lambda z: z.reshape(len(z), *grid))
    return chain(squeeze(patch), rows)
