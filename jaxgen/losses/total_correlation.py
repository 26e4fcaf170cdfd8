r"""The divergence of a VAE in three parts, of which beta-TCVAE weighs one.

    E_x KL(q(z | x) || p(z)) = MI + TC + DWKL
    MI   = E[log q(z | x) - log q(z)]                   what z says of x
    TC   = E[log q(z) - sum_j log q(z_j)]               what the latents say of each other
    DWKL = E[sum_j (log q(z_j) - log p(z_j))]           how far each is from its prior

Example by example from a batch of B among the N of the data (minibatch-weighted sampling, appendix C.1):

    log q(z_i) ~ log 1/(B N) sum_j q(z_i | x_j)

beta-TCVAE is `encoded(vae, add(distortion(vae.likelihood), mutual_information(N), scale(beta, total_correlation(N)),
dimension_wise(N)))`. The B examples are those that are together when the loss is computed: under gradient accumulation
and `pmap` a part of the batch.

Source: Chen et al. 2018, "Isolating Sources of Disentanglement in Variational Autoencoders" (1802.04942), eq. (2-4).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.vae import Gaussian


class Parts(NamedTuple):
    """[B] nats each."""

    mutual_information: Array
    total_correlation: Array
    dimension_wise: Array


def parts(z: Array, q: Gaussian, prior: Gaussian, size: int) -> Parts:
    """The parts at z [B, L] ~ q, of B examples among `size`."""
    mean, log_std = q
    pairs = gaussian.log_prob(z[:, None], mean[None], log_std[None])  # [i, j, l]: log q(z_il | x_j)
    lots = math.log(z.shape[0] * size)
    joint = jax.nn.logsumexp(pairs.sum(-1), axis=1) - lots
    product = jnp.sum(jax.nn.logsumexp(pairs, axis=1) - lots, axis=-1)
    given = jnp.sum(gaussian.log_prob(z, mean, log_std), axis=-1)
    return Parts(given - joint, joint - product, product - jnp.sum(gaussian.log_prob(z, *prior), axis=-1))


def _part(name: str, pick: Callable[[Parts], Array]) -> Callable[[int], Loss]:
    def of(size: int) -> Loss:
        def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
            value = pick(parts(batch["z"], batch["posterior"], batch["prior"], size))
            return value, Aux({name: value})

        return loss

    return of


mutual_information = _part("mutual_information", lambda p: p.mutual_information)
total_correlation = _part("total_correlation", lambda p: p.total_correlation)
dimension_wise = _part("dimension_wise", lambda p: p.dimension_wise)
