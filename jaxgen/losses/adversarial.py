r"""Adversarial losses: what critic and generator minimise, given the critic's logits r = D(x) and f = D(G(z)).

| objective | critic | generator |
|---|---|---|
| `minimax` (1406.2661 eq. 1) | s(-r) + s(f) | -s(f) |
| `non_saturating` (1406.2661 section 3) | s(-r) + s(f) | s(-f) |
| `hinge` (1705.02894; 1802.05957 eq. 16-17) | relu(1 - r) + relu(1 + f) | -f |
| `wasserstein` (1701.07875 eq. 2) | f - r | -f |
| `least_squares` (1611.04076 eq. 9) | (r - 1)^2/2 + f^2/2 | (f - 1)^2/2 |
| `relativistic` (1807.00734; R3GAN, 2501.05441) | s(f - r) | s(r - f) |
| `relativistic_average` (1807.00734) | s(Ef - r) + s(f - Er) | s(Er - f) + s(r - Ef) |

s is softplus, E the mean over the batch that is at hand: a part of it under accumulation of gradients and pmap.
`relativistic` pairs every real example with the fake one of the same class.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import relu, softplus

from jaxgen import gaussian
from jaxgen.keys import fold
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.denoising import mean

Updates = dict[str, Any]  # {network: {collection: value}}
Generate = Callable[[Params, Batch, Array], tuple[Array, Updates]]  # (params, batch, keys [B]) -> (fake [B, ...], ...)
Critic = Callable[[Params, Array, Any, Array], tuple[Array, Updates]]  # (params, x, cond, keys) -> (logits [B], ...)


def generate(apply: Callable[..., tuple[Array, Updates]], latent: int) -> Generate:
    """G(z, c) in training mode with z [B, latent] ~ N(0, I) and c = batch["cond"]. Every loss that is given the same
    keys sees the same fakes. `apply(params, z, cond, keys, train)` is a generator bound by `stateful`."""

    def fakes(params: Params, batch: Batch, keys: Array) -> tuple[Array, Updates]:
        z = gaussian.noise(keys, 0x6E4E, (latent,), batch["x"].dtype)
        return apply(params, z, batch.get("cond"), keys, train=True)

    return fakes


def critic(apply: Callable[..., tuple[Array, Updates]]) -> Critic:
    """D(x, c) in training mode. `apply(params, x, cond, keys, train)` is a critic bound by `stateful`."""
    return lambda params, x, cond, keys: apply(params, x, cond, keys, train=True)


def real_keys(keys: Array) -> Array:
    """The keys that the critic sees the data with. Every loss uses the same, so D(x) is computed once."""
    return fold(keys, 0x4EA1)


def fake_keys(keys: Array) -> Array:
    """The keys that the critic sees the fakes with."""
    return fold(keys, 0xFA4E)


class Objective(NamedTuple):
    """critic, generator: (real logits [B, ...], fake logits [B, ...]) -> what either minimises, of the same shape."""

    critic: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]


def squared(fake: float = 0.0, real: float = 1.0, fooled: float = 1.0) -> Objective:
    """Least squares towards these labels: a, b and c of 1611.04076 eq. 2."""
    return Objective(
        lambda r, f: 0.5 * jnp.square(r - real) + 0.5 * jnp.square(f - fake),
        lambda r, f: 0.5 * jnp.square(f - fooled),
    )


def against_mean(objective: Objective) -> Objective:
    """The relativistic average of a critic's objective: logits count relative to the mean of the other kind, and the
    generator minimises the same with the kinds exchanged (1807.00734). Of logits of patches [B, h, w] the mean is that
    of each place."""

    def judge(r: Array, f: Array) -> Array:
        return objective.critic(r - jnp.mean(f, axis=0), f - jnp.mean(r, axis=0))

    return Objective(judge, lambda r, f: judge(f, r))


def smoothed(label: float = 0.9) -> Objective:
    """`non_saturating` with one-sided label smoothing: the critic is told that data are real with probability `label`
    (1606.03498 section 3.4)."""
    return Objective(
        lambda r, f: label * softplus(-r) + (1 - label) * softplus(r) + softplus(f), lambda r, f: softplus(-f)
    )


minimax = Objective(lambda r, f: softplus(-r) + softplus(f), lambda r, f: -softplus(f))
non_saturating = Objective(minimax.critic, lambda r, f: softplus(-f))
hinge = Objective(lambda r, f: relu(1 - r) + relu(1 + f), lambda r, f: -f)
wasserstein = Objective(lambda r, f: f - r, lambda r, f: -f)
least_squares = squared()
relativistic = Objective(lambda r, f: softplus(f - r), lambda r, f: softplus(r - f))
relativistic_average = against_mean(non_saturating)


def centred(objective: Objective) -> bool:
    """Whether a logit of 0 says that an image is as likely real as fake: critic(l, l), what the critic pays where both
    kinds get the logit l, is even and larger away from 0. Objectives of differences of logits have no such place, those
    with other labels have it elsewhere."""
    below, at, above = (float(objective.critic(both, both)[0]) for both in jnp.array([[-2.0], [0.0], [2.0]]))
    return below > at < above and math.isclose(below, above, rel_tol=1e-5)


def critic_loss(objective: Objective, generate: Generate, critic: Critic) -> Loss:
    """What the critic minimises. Metrics: "logits/real", "logits/fake", and "fake_std", the standard deviation of the
    fakes over the batch relative to that of the data: near 0 the generator makes one image."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x, cond = batch["x"], batch.get("cond")
        x_fake, _ = generate(params, batch, keys)
        r, updates = critic(params, x, cond, real_keys(keys))
        f, _ = critic(params, x_fake, cond, fake_keys(keys))
        ratio = spread(x_fake) / jnp.maximum(spread(x), jnp.finfo(x.dtype).tiny)
        metrics = {"logits/real": mean(r), "logits/fake": mean(f), "fake_std": jnp.full(keys.shape, ratio)}
        return mean(objective.critic(r, f)), Aux(metrics, updates)

    return loss


def generator_loss(objective: Objective, generate: Generate, critic: Critic) -> Loss:
    """What the generator minimises."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x_fake, updates = generate(params, batch, keys)
        r, _ = critic(params, batch["x"], batch.get("cond"), real_keys(keys))
        f, _ = critic(params, x_fake, batch.get("cond"), fake_keys(keys))
        return mean(objective.generator(r, f)), Aux({}, updates)

    return loss


def spread(x: Array) -> Array:
    """The standard deviation over the batch, root mean square over the dimensions of x [B, ...]; a scalar."""
    return jnp.sqrt(jnp.mean(jnp.var(x, axis=0)))
