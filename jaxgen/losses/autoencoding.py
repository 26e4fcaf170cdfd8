r"""The losses of an autoencoder: terms about one reconstruction, each a loss of a batch that holds it.

    reconstructed(apply, add(named("reconstruction", reconstruction(l2())), scale(w, quantization()), ...))

`reconstructed` runs the network once and gives the batch "reconstruction", what it says of the pixels, and "code"; a
term is any `Loss` of that batch, be it the distance between features or what a critic says.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxgen.losses.algebra import Aux, Batch, Loss, Params, united
from jaxgen.losses.denoising import mean
from jaxgen.losses.likelihoods import Likelihood

Reconstruct = Callable[..., tuple[Any, dict[str, Any]]]  # (params, x, keys, train=True) -> ((y, Code), updates)
Decode = Callable[..., tuple[Array, dict[str, Any]]]  # (params, z) -> (y, updates)


class Distance(NamedTuple):
    """error:   (y [B, H, W, outputs(C)], x [B, H, W, C] in model space) -> [B].
    image:   y -> [B, H, W, C] in model space, the image that y stands for.
    outputs: C -> how many channels y has.
    likelihood: that whose parameters y are, if it is one.
    """

    error: Callable[[Array, Array], Array]
    image: Callable[[Array], Array]
    outputs: Callable[[int], int]
    likelihood: Likelihood | None = None


def l2(variance: float = 1.0) -> Distance:
    """mean (y - x)^2 / variance, the variance being that of the data in sonnet's VQ-VAE: the share of it that is lost,
    which puts data of any scale at the same distance from the loss of the quantizer."""
    return Distance(lambda y, x: mean(jnp.square(y - x)) / variance, lambda y: y, lambda channels: channels)


def l1() -> Distance:
    """mean |y - x|."""
    return Distance(lambda y, x: mean(jnp.abs(y - x)), lambda y: y, lambda channels: channels)


def nats(likelihood: Likelihood) -> Distance:
    """-log p(x | y) in nats a pixel and channel; the image is the mean of the likelihood."""
    return Distance(
        lambda y, x: -likelihood.log_prob(y, x) / math.prod(x.shape[1:]),
        likelihood.mean,
        likelihood.outputs,
        likelihood,
    )


def reconstructed(apply: Reconstruct, loss: Loss) -> Loss:
    """`loss` of the batch with what becomes of batch["x"] in `apply`, `jaxgen.models.bind.stateful` of an autoencoder:
    "reconstruction" and "code". Adds the metrics of the code, and the updates of its codebooks."""

    def judged(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        (y, code), updates = apply(params, batch["x"], keys, train=True)
        value, aux = loss(params, {**batch, "reconstruction": y, "code": code}, keys)
        return value, Aux({**code.metrics, **aux.metrics}, united(updates, aux.updates))

    return judged


def decoded(decode: Decode, loss: Loss) -> Loss:
    """`loss` of the batch with its "code" decoded anew by `decode`, `stateful` of that method: within `reconstructed`
    the same numbers, which XLA computes once, but a function of the parameters of the decoder, as `adaptive` needs."""

    def judged(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        return loss(params, {**batch, "reconstruction": decode(params, batch["code"].z)[0]}, keys)

    return judged


def reconstruction(distance: Distance) -> Loss:
    """The distance of the reconstruction from batch["x"]."""
    return lambda params, batch, keys: (distance.error(batch["reconstruction"], batch["x"]), Aux())


def quantization() -> Loss:
    """What the quantizer asks for: commitment, codebook, entropies, KL divergence."""
    return lambda params, batch, keys: (batch["code"].loss, Aux())
