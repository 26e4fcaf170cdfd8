"""Guidance maps a `Denoiser` to a `Denoiser`, so that rules of guidance compose.

Weights of combined outputs sum to one and decoding is affine in y, so combining in any prediction gives the same.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen.denoiser import Denoiser
from jaxgen.prediction import SCORE, convert
from jaxgen.sde import expand

Guidance = Callable[[Denoiser], Denoiser]


def _blend(weak: Array, strong: Array, weight: Array | float) -> Array:
    return weak + weight * (strong - weak)


def classifier_free(weight: float, null: Any = None) -> Guidance:
    """y = y(null) + w (y(cond) - y(null)); w = 1 is the conditional model (2207.12598, whose w is w - 1 here).

    `null` is the condition that stands for "none" (broadcast against cond): both halves run as one batch of 2B. With
    None the network is run a second time without a condition.
    """

    def guide(den: Denoiser) -> Denoiser:
        def fn(x: Array, t: Array, cond: Any = None) -> Array:
            if cond is None:
                raise ValueError("classifier-free guidance needs a condition: pass cond to the sampler.")
            if null is None:
                return _blend(den.fn(x, t, None), den.fn(x, t, cond), weight)
            nothing = jax.tree.map(lambda c, n: jnp.broadcast_to(jnp.asarray(n, c.dtype), c.shape), cond, null)
            both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), (x, t, cond), (x, t, nothing))
            strong, weak = jnp.split(den.fn(*both), 2)
            return _blend(weak, strong, weight)

        return den._replace(fn=fn)

    return guide


def interval(guidance: Guidance, low: float, high: float) -> Guidance:
    """`guidance` where the noise level sigma/alpha lies in (low, high], the plain denoiser elsewhere (2404.07724)."""

    def guide(den: Denoiser) -> Denoiser:
        guided = guidance(den)

        def fn(x: Array, t: Array, cond: Any = None) -> Array:
            level = den.sde.sigma(t) / den.sde.alpha(t)
            inside = (level > low) & (level <= high)
            plain = den.fn(x, t, cond)
            strong = convert(den.sde, guided.prediction, den.prediction, guided.fn(x, t, cond), x, t)
            return jnp.where(expand(inside, x), strong, plain)

        return den._replace(fn=fn)

    return guide


def unconditional(den: Denoiser) -> Denoiser:
    """The denoiser without its condition, which then reaches only the guidance around it."""

    def fn(x: Array, t: Array, cond: Any = None) -> Array:
        return den.fn(x, t, None)

    return den._replace(fn=fn)


def classifier(logp: Callable[[Array, Array, Any], Array], weight: float = 1.0) -> Guidance:
    """score + w grad_x log p(cond | x, t), with logp(x [B, ...], t [B], cond) -> [B] nats (2011.13456 eq. 14,
    2105.05233). The denoiser is told cond too; `unconditional` keeps it from a network without classes."""

    def guide(den: Denoiser) -> Denoiser:
        def fn(x: Array, t: Array, cond: Any = None) -> Array:
            gradient = jax.grad(lambda x: jnp.sum(logp(x, t, cond)))(x)
            return den.score(x, t, cond) + weight * gradient

        return den._replace(prediction=SCORE, fn=fn)

    return guide


def autoguidance(weak: Denoiser, weight: float) -> Guidance:
    """y_weak + w (y - y_weak): guidance by a worse version of the same model (2406.02507 eq. 3)."""

    def guide(den: Denoiser) -> Denoiser:
        def fn(x: Array, t: Array, cond: Any = None) -> Array:
            poor = convert(den.sde, weak.prediction, den.prediction, weak.fn(x, t, cond), x, t)
            return _blend(poor, den.fn(x, t, cond), weight)

        return den._replace(fn=fn)

    return guide
