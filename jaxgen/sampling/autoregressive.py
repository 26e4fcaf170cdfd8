r"""Drawing from a product of conditionals, one position after the other.

    P(x) = prod_i P(x_i | x_1 .. x_{i-1}),   x_i ~ P(. | x_1 .. x_{i-1}) in turn

One `lax.scan` over the positions. A network that keeps what it has computed of x_1 .. x_{i-1} (keys and values of
attention, rows of features) is asked for the parameters of position i alone; `naive` runs any network on the whole
image at every position. The draw at position i depends on an example's own key and i: in float32 both draw the same
integers; in bfloat16 what is rounded apart may fall on two sides of a level.

A position is a whole pixel, of which all channels are drawn at once, or one channel of one, in raster order: it holds
prod(shape) / positions integers.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.keys import fold
from jaxgen.sampling.filters import Filter

Cache = Any
Start = Callable[[int, Any], Cache]
Step = Callable[[Cache, Array, Array], tuple[Array, Cache]]
Draw = Callable[[Array, Array], Array]  # (keys [B], parameters [B, out]) -> int32 [B, values of a position]


class Incremental(NamedTuple):
    """start: (B, cond) -> cache, before the first position; cond is [B] or None.
    step:  (cache, x int32 [B, ...], position) -> (parameters of this position [B, out], cache); of x, it reads what
           comes before the position, a traced int32. The positions come in order."""

    start: Start
    step: Step


def generate(
    start: Start, step: Step, draw: Draw, shape: Sequence[int], positions: int, keys: Array, cond: Any = None
) -> Array:
    """x int32 [B, *shape], example i from keys[i] under cond[i]: `generate(*incremental, draw, ...)`.

    positions: how many there are, a divisor of prod(shape).
    """
    batch, size = keys.shape[0], math.prod(shape)
    if size % positions:
        raise ValueError(f"expected a number of positions that divides the {size} values of {shape}, got {positions}.")

    def body(carry: tuple[Array, Cache], position: Array) -> tuple[tuple[Array, Cache], None]:
        x, cache = carry
        parameters, cache = step(cache, x.reshape(batch, *shape), position)
        value = draw(fold(keys, position), parameters)
        return (x.at[:, position].set(value.astype(jnp.int32)), cache), None

    x = jnp.zeros((batch, positions, size // positions), jnp.int32)
    (x, _), _ = jax.lax.scan(body, (x, start(batch, cond)), jnp.arange(positions))
    return x.reshape(batch, *shape)


def naive(apply: Callable[[Array, Any], Array], positions: int) -> Incremental:
    """apply(x int32 [B, ...], cond) -> parameters [B, ..., out] of the whole image, run anew at every position."""

    def step(cond: Cache, x: Array, position: Array) -> tuple[Array, Cache]:
        parameters = apply(x, cond).reshape(x.shape[0], positions, -1)
        return jax.lax.dynamic_index_in_dim(parameters, position, axis=1, keepdims=False), cond

    return Incremental(lambda batch, cond: cond, step)


def both(start: Start, step: Step, null: Any) -> Incremental:
    """The parameters under cond and, after them, those under `null`, the condition that stands for "none", broadcast
    against cond: [2B, out], from one batch."""

    def both_start(batch: int, cond: Any) -> Cache:
        if cond is None:
            raise ValueError("guidance needs a condition: pass the classes that are to be drawn.")
        nothing = jax.tree.map(lambda c, n: jnp.broadcast_to(jnp.asarray(n, c.dtype), c.shape), cond, null)
        return start(2 * batch, jax.tree.map(lambda c, n: jnp.concatenate([c, n]), cond, nothing))

    def both_step(cache: Cache, x: Array, position: Array) -> tuple[Array, Cache]:
        return step(cache, jax.tree.map(lambda a: jnp.concatenate([a, a]), x), position)

    return Incremental(both_start, both_step)


def guided(start: Start, step: Step, weight: float | Callable[[Any], Any], null: Any) -> Incremental:
    """Of parameters that are logits, logits(null) + w (logits(cond) - logits(null)); w = 1 is the conditional model. w
    may be a function of the position; null as in `both`.

    Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance" (2207.12598), whose w is w - 1 here, of the
    logits: Gafni et al. 2022, "Make-A-Scene" (2203.13131), section 3.5.
    """
    start, step = both(start, step, null)

    def guided_step(cache: Cache, x: Array, position: Array) -> tuple[Array, Cache]:
        logits, cache = step(cache, x, position)
        return away(logits, weight(position) if callable(weight) else weight), cache

    return Incremental(start, guided_step)


def away(logits: Array, weight: Any) -> Array:
    """weak + w (strong - weak) of the halves of a batch, [2B, ...] -> [B, ...]."""
    strong, weak = jnp.split(logits, 2)
    return weak + weight * (strong - weak)


def categorical(levels: int, keep: Filter = lambda logits: logits) -> Draw:
    """k ~ softmax(keep(logits)) of `levels` logits a value: argmax(keep(logits) + Gumbel noise)."""

    def draw(keys: Array, parameters: Array) -> Array:
        logits = keep(parameters.reshape(parameters.shape[0], -1, levels))
        noise = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:], logits.dtype))(keys)
        return jnp.argmax(logits + noise, axis=-1)

    return draw


def channels(
    logits: Callable[[Array, Array], Array], values: int, levels: int, keep: Filter, weight: float | None = None
) -> Draw:
    """The channels of a pixel in turn, k_c ~ softmax(keep(log P(. | k_1 .. k_{c-1}))), of any likelihood of integers.

    logits: (parameters [B, 1, 1, out], x [B, 1, 1, c] in [-1, 1]) -> log P [B, 1, 1, levels] of the next channel, up to
    a constant; values: how many channels there are. With a weight the parameters are those of `both`, [2B, out], and
    the two log P, given the same channels before, are mixed as in `guided` before they are filtered.
    """

    def draw(keys: Array, parameters: Array) -> Array:
        noise = jax.vmap(lambda key: jax.random.gumbel(key, (values, levels), parameters.dtype))(keys)
        drawn = jnp.zeros((len(keys), 0), jnp.int32)
        for c in range(values):
            x = (2 * drawn / (levels - 1) - 1).astype(parameters.dtype)[:, None, None]
            seen = x if weight is None else jnp.concatenate([x, x])
            logp = logits(parameters[:, None, None], seen)[:, 0, 0]
            value = jnp.argmax(keep(logp if weight is None else away(logp, weight)) + noise[:, c], axis=-1)
            drawn = jnp.concatenate([drawn, value[:, None].astype(jnp.int32)], axis=-1)
        return drawn

    return draw


def pixels(sample: Callable[[Array, Array], Array], levels: int) -> Draw:
    """The channels of a pixel as sample(keys [B], parameters [B, 1, 1, out]) -> [B, 1, 1, C] in [-1, 1] draws them."""

    def draw(keys: Array, parameters: Array) -> Array:
        x = sample(keys, parameters[:, None, None])[:, 0, 0]
        return jnp.round(0.5 * (levels - 1) * (x + 1))

    return draw
