"""FFJORD: continuous flows, free-form networks as velocities, over vectors or over images at several scales.

    dx/dt = v(x, t),   v: layers (W x + b) sigmoid(w t + c) + u t of vectors, W * (x, t) + b of images, and softplus

Images: at every scale `flows` solutions, a squeeze, `flows` more, and half of the channels left behind; the last scale
has `flows` solutions and no squeeze, and leaves all.

Source: Grathwohl et al. 2019, "FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models"
(1810.01367), sections 3 and 4, and the layers and scales of its code. Every solution ends at a fixed time.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.bijectors.bijector import Bijector, chain, identity
from jaxgen.bijectors.continuous import continuous
from jaxgen.bijectors.split import channels, factor_out, flatten
from jaxgen.bijectors.squeeze import squeeze
from jaxgen.keys import fold
from jaxgen.likelihood import exact, hutchinson
from jaxgen.models.flows.flow import EXACT, Flow
from jaxgen.models.layers.conv import Conv
from jaxgen.models.layers.salt import salt

PRECISION = jax.lax.Precision.HIGHEST  # of products: solvers cannot be tighter than them


class ConcatSquash(nn.Module):
    """(W x + b) sigmoid(w t + c) + u t: x [B, C], t [B] -> [B, features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array, t: Array) -> Array:
        dense = partial(nn.Dense, self.features, precision=PRECISION)
        gate = nn.sigmoid(dense(name="gate")(t[:, None]))
        return dense(name="layer")(x) * gate + dense(use_bias=False, name="shift")(t[:, None])


class ConcatConv(nn.Module):
    """A convolution of 3x3 pixels of x [B, H, W, C] with t [B] as one more channel -> [B, H, W, features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array, t: Array) -> Array:
        time = jnp.broadcast_to(t[:, None, None, None], (*x.shape[:-1], 1))
        return Conv(self.features, (3, 3), precision=PRECISION)(jnp.concatenate([x, time], axis=-1))


class Velocity(nn.Module):
    """v(x, t, cond) of x [B, ..., C], layers of `widths` features: convolutions of 3x3 pixels of images, dense ones of
    vectors."""

    widths: Sequence[int]
    image: bool
    num_classes: int

    @nn.compact
    def __call__(self, x: Array, t: Array, cond: Array | None = None) -> Array:
        layer = ConcatConv if self.image else ConcatSquash
        h = x
        for i, width in enumerate(self.widths):
            h = layer(width)(h, t)
            if cond is not None and i == 0:
                told = nn.Embed(self.num_classes, width)(cond)
                h += told.reshape(-1, *(1,) * (x.ndim - 2), width)
            h = nn.softplus(h)
        return layer(x.shape[-1])(h, t)


def recomputed(module: nn.Module) -> Callable[..., Array]:
    """The call of a bound module, computed again for its gradient. Variables go in as arguments: `jax.checkpoint` keeps
    traces by function, which must not hold what another trace has brought."""
    net, variables = module.unbind()
    return partial(jax.checkpoint(lambda variables, *inputs: net.apply(variables, *inputs)), variables)


class Solution(nn.Module):
    """One continuous flow from time 0 to `end`, x [B, *shape] -> z of the same shape."""

    shape: tuple[int, ...]
    widths: Sequence[int]
    end: float
    rtol: float
    atol: float
    tolerance: float
    num_classes: int
    remat: bool

    def setup(self) -> None:
        self.velocity = Velocity(self.widths, len(self.shape) == 3, self.num_classes)

    def bijector(self, cond: Array | None, keys: Array | None, train: bool) -> Bijector:
        if self.is_initializing():  # which only makes the parameters
            self.velocity(jnp.zeros((1, *self.shape)), jnp.zeros(1), None if cond is None else cond[:1])
            return identity
        velocity = recomputed(self.velocity) if self.remat else self.velocity
        divergence = exact() if keys is None else hutchinson()
        own = None if keys is None else fold(keys, salt(self))
        rtol, atol = (self.rtol, self.atol) if train else (self.tolerance,) * 2
        return continuous(velocity, cond, self.end, divergence, own, rtol, atol)


class FFJORD(Flow, kw_only=True):
    """x [B, ...] of any shape -> z [B, D], x flattened. keys: of Hutchinson's probes of the divergence; without them it
    is exact, for D derivatives an evaluation.

    widths       features of the hidden layers of a velocity
    flows        solutions, one after the other
    end          time of each
    rtol, atol   of the solver in training
    tolerance    both of them elsewhere, where the inverse is to undo the flow to 1e-4
    """

    widths: tuple[int, ...] = (64, 64, 64)
    flows: int = 1
    end: float = 1.0
    rtol: float = 1e-5
    atol: float = 1e-5
    tolerance: float = 1e-6

    def setup(self) -> None:
        self.solutions = [self.solution((math.prod(self.shape),)) for _ in range(self.flows)]

    @property
    def estimated(self) -> bool:
        return math.prod(self.shape) > EXACT

    def solution(self, shape: tuple[int, ...]) -> Solution:
        """A flow of the fields of this one. Raises ValueError for a dtype in which its tolerances make no sense."""
        if self.dtype is not None:
            raise ValueError("FFJORD computes in float32, as tight as its solver is: leave out parallel.dtype.")
        own = self.widths, self.end, self.rtol, self.atol, self.tolerance, self.num_classes, self.remat
        return Solution(shape, *own)

    def bijector(self, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Bijector:
        return chain(flatten(self.shape), *(solution.bijector(cond, keys, train) for solution in self.solutions))


class MultiscaleFFJORD(FFJORD, kw_only=True):
    """x [B, H, W, C] -> z [B, H W C]; `flows` are those before and after a squeeze. There are as many scales as have
    sides of `least` pixels or more, and H and W are multiples of 2^(scales - 1)."""

    flows: int = 2
    least: int = 4

    def setup(self) -> None:
        self.whole = [[self.solution(shape) for _ in range(self.flows)] for shape in self.entering]
        self.squeezed = [
            [self.solution((h // 2, w // 2, 4 * c)) for _ in range(self.flows)] for h, w, c in self.entering[:-1]
        ]

    @property
    def entering(self) -> list[tuple[int, int, int]]:
        """The shape that comes into every scale."""
        height, width, size = self.image
        if min(height, width) < self.least:
            raise ValueError(
                f"images of {height}x{width} pixels have no scale with sides of {self.least}: set model.least to at "
                f"most {min(height, width)}, or take model=ffjord."
            )
        scales = (min(height, width) // self.least).bit_length()
        return [(height >> i, width >> i, size << i) for i in range(scales)]

    def bijector(self, cond: Array | None = None, keys: Array | None = None, train: bool = False) -> Bijector:
        def run(flows: Sequence[Solution]) -> Bijector:
            return chain(*(flow.bijector(cond, keys, train) for flow in flows))

        *others, last = zip(self.entering, self.whole, strict=True)
        rest = chain(run(last[1]), flatten(last[0]))
        for ((h, w, c), whole), squeezed in reversed(list(zip(others, self.squeezed, strict=True))):
            rest = factor_out(channels(2 * c), (h // 2, w // 2, 4 * c), rest)
            rest = chain(run(whole), squeeze(), run(squeezed), rest)
        return rest
