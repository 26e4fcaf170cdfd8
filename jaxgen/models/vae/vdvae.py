"""The very deep VAE: residual bottleneck blocks, up to some 70 groups of latent variables.

Source: Child 2021, "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images" (2011.10650).
"""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer, variance_scaling, zeros
from jax.typing import DTypeLike

from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.vae.hierarchy import Choose, Group, Ladder, Normal

UNBIASED = 64  # states of a higher resolution start at zero: a learned one would have too many parameters


def uniform(depth: int = 1) -> Initializer:
    """U(-a, a), a^2 = 1/(fan_in depth): the last layers of `depth` residual blocks start at 1/sqrt(depth), so that
    their sum has the variance of one (section 3.2)."""
    return variance_scaling(1 / (3 * depth), "fan_in", "uniform")


def plan(text: str) -> list[tuple[int, int | None]]:
    """The blocks of "32x11,32d2,16x6" as the paper writes them: (resolution, n) of a block "32d2" or "8m4", and
    (resolution, None) of each of the eleven blocks "32x11"."""
    blocks: list[tuple[int, int | None]] = []
    for stage in text.split(","):
        match = re.fullmatch(r"(\d+)([xdm])(\d+)", stage.strip())
        if match is None or int(match[1]) < 1 or int(match[3]) < 1:
            raise ValueError(
                f"expected stages such as 32x11 (eleven blocks), 32d2 (halving) or 8m4 (on the state of 4x4), got "
                f"{stage!r} in {text!r}."
            )
        r, n = int(match[1]), int(match[3])
        blocks += [(r, None)] * n if match[2] == "x" else [(r, n)]
    return blocks


class Bottleneck(nn.Module):
    """c4 g c3 g c2 g c1 g x, with g = gelu and c1, c4 of size 1; c2, c3 of 3x3 where the image is larger than 2x2.

    x: [B, H, W, C]; keys: of dropout before c4, [B] or None. Returns [B, H, W, features].
    """

    features: int
    middle: int
    last: Initializer = uniform()
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> Array:
        conv = partial(Conv, dtype=self.dtype)
        gelu = partial(nn.gelu, approximate=False)
        size = (3, 3) if x.shape[1] > 2 else (1, 1)
        h = conv(self.middle, (1, 1), kernel_init=uniform(), name="c1")(gelu(x))
        h = conv(self.middle, size, kernel_init=uniform(), name="c2")(gelu(h))
        h = conv(self.middle, size, kernel_init=uniform(), name="c3")(gelu(h))
        h = Dropout(self.dropout)(gelu(h), keys)
        y: Array = conv(self.features, (1, 1), kernel_init=self.last, name="c4")(h)
        return y


class TopDownBlock(nn.Module):
    """One group: p = N(prior(h)), q = N(posterior(h, a)), then h + f(h) + W z and a residual block on it (figure 3).

    h: [B, H, W, width], the state; a: what the encoder saw at this resolution; z: [B, H, W, latent].
    """

    width: int
    middle: int
    latent: int
    depth: int
    dropout: float = 0.0
    dtype: DTypeLike | None = None
    remat: bool = False

    def setup(self) -> None:
        block = partial(rematerialized(Bottleneck, self.remat), middle=self.middle, dtype=self.dtype)
        self.enc = block(2 * self.latent, dropout=self.dropout)
        self.prior = block(2 * self.latent + self.width, last=zeros)
        self.z_proj = Conv(self.width, (1, 1), kernel_init=uniform(self.depth), dtype=self.dtype)
        self.resnet = block(self.width, last=uniform(self.depth), dropout=self.dropout)

    def __call__(self, h: Array, i: int, choose: Choose, keys: Array | None) -> tuple[Array, Group]:
        mean, log_std, more = jnp.split(self.prior(h, keys), [self.latent, 2 * self.latent], -1)
        p = _normal(mean, log_std)

        def posterior(seen: dict[int, Array]) -> Normal:
            return _normal(*jnp.split(self.enc(jnp.concatenate([h, seen[h.shape[1]]], -1), keys), 2, -1))

        z, q = choose(i, p, posterior)
        h = h + more + self.z_proj(z.astype(h.dtype))
        return h + self.resnet(h, keys), Group(z, p, q)


class VDVAE(Ladder):
    """(parameters, KL of every group) of images x [B, R, R, C] in model space; see `Ladder` for the other calls.

    out_channels      channels times parameters per channel of the likelihood
    encoder           stages of the encoder: "32x11" eleven blocks at 32x32, "32d2" a block, then means of 2x2
    decoder           of the decoder: "8x5" five groups at 8x8, "8m4" a group at 8x8 on the state of 4x4
    width, bottleneck channels, and those inside a block relative to them
    latent            latent channels of a group
    mean, std         of the pixels in model space, which the encoder takes off and divides by
    dropout           inside the blocks; the paper has none
    num_classes       a class adds its own vector to the state that the decoder starts from at every resolution

    The defaults are the CIFAR-10 model of 39 M parameters.
    """

    shape: tuple[int, int, int] = (32, 32, 3)
    out_channels: int = 100
    encoder: str = "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3"
    decoder: str = "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21"
    width: int = 384
    bottleneck: float = 0.25
    latent: int = 16
    mean: float = 0.0
    std: float = 1.0
    dropout: float = 0.0
    num_classes: int = 0
    dtype: DTypeLike | None = None
    remat: bool = False

    @property
    def latents(self) -> list[tuple[int, int, int]]:
        return [(r, r, self.latent) for r, _ in plan(self.decoder)]

    def setup(self) -> None:
        blocks, groups = plan(self.encoder), plan(self.decoder)
        check(self.shape, blocks, groups)
        middle = int(self.width * self.bottleneck)
        self.in_conv = Conv(self.width, (3, 3), kernel_init=uniform(), dtype=self.dtype)
        block = partial(rematerialized(Bottleneck, self.remat), self.width, middle, uniform(len(blocks)))
        self.enc_blocks = [block(self.dropout, self.dtype) for _ in blocks]
        group = partial(TopDownBlock, self.width, middle, self.latent, len(groups))
        self.dec_blocks = [group(self.dropout, self.dtype, self.remat) for _ in groups]
        self.starts = {
            str(r): self.param(f"start_{r}", zeros, (r, r, self.width))
            for r in sorted({r for r, _ in groups})
            if r <= UNBIASED
        }
        if self.num_classes:
            self.classes = nn.Embed(self.num_classes, self.width, embedding_init=jax.nn.initializers.normal(1.0))
        self.gain = self.param("gain", jax.nn.initializers.ones, (self.width,))
        self.bias = self.param("bias", zeros, (self.width,))
        self.out_conv = Conv(self.out_channels, (1, 1), kernel_init=uniform(), dtype=self.dtype)

    def bottom_up(self, x: Array, keys: Array | None, train: bool) -> dict[int, Array]:
        """The last activations at every resolution."""
        h = self.in_conv(((x - self.mean) / self.std).astype(self.dtype or x.dtype))
        seen = {}
        for block, (_, factor) in zip(self.enc_blocks, plan(self.encoder), strict=True):
            h = h + block(h, keys)
            h = h if factor is None else nn.avg_pool(h, (factor, factor), (factor, factor))
            seen[h.shape[1]] = h
        return seen

    def top_down(
        self, choose: Choose, batch: int, cond: Array | None, keys: Array | None, train: bool
    ) -> tuple[Array, tuple[Group, ...]]:
        told = labels(cond, self.num_classes, batch)
        extra = jnp.zeros(()) if told is None else self.classes(told)[:, None, None]
        states, groups = {}, []
        for i, (block, (r, below)) in enumerate(zip(self.dec_blocks, plan(self.decoder), strict=True)):
            if r not in states:
                start = self.starts.get(str(r), jnp.zeros((r, r, self.width)))
                states[r] = jnp.broadcast_to(start + extra, (batch, r, r, self.width)).astype(self.dtype or start.dtype)
            if below is not None:
                states[r] += jnp.repeat(jnp.repeat(states[below], r // below, 1), r // below, 2)
            states[r], group = block(states[r], i, choose, keys)
            groups.append(group)
        y = self.out_conv((states[self.shape[0]] * self.gain + self.bias).astype(self.dtype or self.gain.dtype))
        return y.astype(jnp.promote_types(y.dtype, jnp.float32)), tuple(groups)


def check(
    shape: tuple[int, int, int], blocks: list[tuple[int, int | None]], groups: list[tuple[int, int | None]]
) -> None:
    """Raises ValueError unless the blocks of the encoder go down from images of `shape` to what every group needs, and
    the groups up to the image."""
    size, seen = shape[0], set()
    for r, factor in blocks:
        if shape[0] != shape[1] or r != size or size % (factor or 1):
            raise ValueError(
                f"the encoder has a block at {r} with downsampling by {factor or 1}, but its images are "
                f"{size} wide there: let its stages go down from the size of square images."
            )
        size //= factor or 1
        seen.add(size)
    made: set[int] = set()
    for r, below in groups:
        if r not in seen or below is not None and (below not in made or r % below):
            raise ValueError(
                f"the decoder has a group at {r}{f' on the state of {below}' if below else ''}, but the encoder ends "
                f"stages at {sorted(seen)} and groups before are at {sorted(made)}: let the decoder take these in turn."
            )
        made.add(r)
    if groups[-1][0] != shape[0]:
        raise ValueError(f"the decoder ends at {groups[-1][0]}, but the images are {shape[0]} wide: add groups there.")


def _normal(mean: Array, log_std: Array) -> Normal:
    """In float32, whatever the network computes in."""
    kind = jnp.promote_types(mean.dtype, jnp.float32)
    return Normal(mean.astype(kind), log_std.astype(kind))
