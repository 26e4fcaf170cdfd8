r"""Penalties on the gradient of the critic by its input: where it is taken, and what its norm should be.

| penalty | at | value |
|---|---|---|
| `r1` (1801.04406 eq. 9) | data | \|\|grad D(x)\|\|^2 / 2 |
| `r2` (1801.04406 eq. 10) | fakes | \|\|grad D(x)\|\|^2 / 2 |
| `gradient_penalty`, WGAN-GP (1704.00028 eq. 3) | between them | (\|\|grad D(x)\|\| - 1)^2 |
| `one_sided`, WGAN-LP (1709.08894) | between them | max(0, \|\|grad D(x)\|\| - 1)^2 |
| `zero_centred` (1902.03984) | between them | \|\|grad D(x)\|\|^2 |
| `dragan` (1705.07215) | around data | (\|\|grad D(x)\|\| - 1)^2 |

Each is a `Loss` of unit weight: gamma R_1 of the papers is `scale(gamma, r1(critic))`. Between data x and fakes y means
at e x + (1 - e) y with e ~ U[0, 1] per example; around data, at x + std(x) u / 2 with u ~ U[0, 1] per dimension.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import relu

from jaxgen.losses.adversarial import Critic, Generate, fake_keys, real_keys
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, draw
from jaxgen.losses.denoising import mean, total
from jaxgen.losses.root import root

Points = Callable[[Params, Batch, Array], tuple[Array, Array]]  # (params, batch, keys) -> (x [B, ...], critic's keys)


def at_data(params: Params, batch: Batch, keys: Array) -> tuple[Array, Array]:
    """The data, seen as `critic_loss` sees them."""
    return batch["x"], real_keys(keys)


def at_fakes(generate: Generate) -> Points:
    """The fakes, seen as `critic_loss` sees them."""
    return lambda params, batch, keys: (generate(params, batch, keys)[0], fake_keys(keys))


def between(generate: Generate) -> Points:
    """Uniformly on the line from each example to its fake."""

    def points(params: Params, batch: Batch, keys: Array) -> tuple[Array, Array]:
        x, y = batch["x"], generate(params, batch, keys)[0]
        e = draw(keys, 0x11E0, lambda key: jax.random.uniform(key, (1,) * (x.ndim - 1), x.dtype))
        return e * x + (1 - e) * y, real_keys(keys)

    return points


def around(spread: float) -> Points:
    """The data, moved by spread std(x) U[0, 1]; std(x) is over the batch and all dimensions."""

    def points(params: Params, batch: Batch, keys: Array) -> tuple[Array, Array]:
        x = batch["x"]
        u = draw(keys, 0xD4A6, lambda key: jax.random.uniform(key, x.shape[1:], x.dtype))
        return x + spread * jnp.std(x) * u, real_keys(keys)

    return points


def penalty(critic: Critic, points: Points, value: Callable[[Array], Array]) -> Loss:
    """value(||grad_x D(x)||^2) [B] at the `points`. The critic judges examples one by one, as far as this knows: what
    statistics over a batch carry from one to another counts as its own."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x, seen = points(params, batch, keys)

        def logits(x: Array) -> Array:
            return jnp.sum(mean(critic(params, x, batch.get("cond"), seen)[0]))

        return value(total(jnp.square(jax.grad(logits)(x)))), Aux()

    return loss


def r1(critic: Critic) -> Loss:
    """||grad D(x)||^2 / 2 at the data."""
    return penalty(critic, at_data, lambda square: square / 2)


def r2(critic: Critic, generate: Generate) -> Loss:
    """||grad D(x)||^2 / 2 at the fakes."""
    return penalty(critic, at_fakes(generate), lambda square: square / 2)


def gradient_penalty(critic: Critic, generate: Generate) -> Loss:
    """(||grad D(x)|| - 1)^2 between data and fakes."""
    return penalty(critic, between(generate), lambda square: jnp.square(root(square) - 1))


def one_sided(critic: Critic, generate: Generate) -> Loss:
    """max(0, ||grad D(x)|| - 1)^2 between data and fakes."""
    return penalty(critic, between(generate), lambda square: jnp.square(relu(root(square) - 1)))


def zero_centred(critic: Critic, generate: Generate) -> Loss:
    """||grad D(x)||^2 between data and fakes."""
    return penalty(critic, between(generate), lambda square: square)


def dragan(critic: Critic, spread: float = 0.5) -> Loss:
    """(||grad D(x)|| - 1)^2 around the data."""
    return penalty(critic, around(spread), lambda square: jnp.square(root(square) - 1))
