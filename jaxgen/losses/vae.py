r"""Variational autoencoders: the two terms of the negative evidence lower bound, and what the second one costs.

    -log p(x)  <=  E_q[-log p(x | z)]  +  KL(q(z | x) || p(z))
                    distortion             rate

| objective | loss |
|---|---|
| VAE (1312.6114 eq. 3) | `elbo(vae)`: `encoded(vae, add(distortion(p), rate()))` |
| conditional VAE (Sohn et al. 2015) | ... of batches with "cond", perhaps with a `prior` that learns |
| beta-VAE (Higgins et al. 2017) | `encoded(vae, add(distortion(p), scale(beta, rate())))` |
| ... with annealed capacity (1804.03599 eq. 8) | `encoded(vae, add(distortion(p), scale(g, rate(capacity(nats)))))` |
| free bits (1606.04934 appendix C.8) | `encoded(vae, add(distortion(p), rate(free_bits(0.1))))` |
| beta-TCVAE (1802.04942 eq. 4) | `total_correlation.py` |
| IWAE, DReG, STL | `importance.py` |

`encoded` runs the networks once and gives the batch what they say; with p = `vae.likelihood`, a term is any `Loss` of
that batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.keys import fold
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, add
from jaxgen.losses.likelihoods import Likelihood

LATENT, ENCODER, DECODER = 0x1A7E, 0xE2C0, 0xDEC0  # salts: of z, and of the dropout in either network
ACTIVE = 0.01  # the variance over x of a latent's mean from which it counts as used (1509.00519 section 5.2)

Gaussian = tuple[Array, Array]  # mean, log standard deviation; [B, L] or what broadcasts to it
Charge = Callable[[Array, Array], Array]  # (KL of every latent [B, L] nats, step) -> [B] nats


def standard(params: Params, cond: Any) -> Gaussian:
    """The prior N(0, I)."""
    return jnp.zeros(()), jnp.zeros(())


class VAE(NamedTuple):
    """encode: (params, x [B, H, W, C], cond, keys) -> q(z | x), mean and log standard deviation [B, L].
    decode:     (params, z [B, L], cond, keys) -> parameters of the likelihood [B, H, W, outputs].
    likelihood: log p(x | z).
    prior:      (params, cond) -> p(z).

    cond: [B] or None; keys: of dropout, one per example [B].
    """

    encode: Callable[..., Gaussian]
    decode: Callable[..., Array]
    likelihood: Likelihood
    prior: Callable[[Params, Any], Gaussian] = standard

    def posterior(self, params: Params, batch: Batch, keys: Array) -> Gaussian:
        """q(z | x)."""
        return self.encode(params, batch["x"], batch.get("cond"), fold(keys, ENCODER))

    def parameters(self, params: Params, batch: Batch, keys: Array, z: Array) -> Array:
        """Those of the likelihood at z [B, L]: [B, H, W, outputs]."""
        return self.decode(params, z, batch.get("cond"), fold(keys, DECODER))


def encoded(vae: VAE, loss: Loss) -> Loss:
    """`loss` of the batch with what becomes of batch["x"]: "posterior", q(z | x), and "prior", p(z), both mean and log
    standard deviation [B, L]; "z" [B, L], a draw of q; "parameters" of the likelihood at z."""

    def judged(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        q = vae.posterior(params, batch, keys)
        z = gaussian.sample(keys, LATENT, *q)
        prior = tuple(jnp.broadcast_to(part, z.shape) for part in vae.prior(params, batch.get("cond")))
        found = {"posterior": q, "prior": prior, "z": z, "parameters": vae.parameters(params, batch, keys, z)}
        return loss(params, {**batch, **found}, keys)

    return judged


def distortion(likelihood: Likelihood) -> Loss:
    """-log p(x | parameters) of batch["x"] and batch["parameters"]."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        value = -likelihood.log_prob(batch["parameters"], batch["x"])
        return value, Aux({"distortion": value})

    return loss


def total(kl: Array, step: Array) -> Array:
    """sum_j KL_j: every nat counts as it is."""
    return jnp.sum(kl, axis=-1)


def capacity(nats: float | Callable[[Array], Array]) -> Charge:
    """|sum_j KL_j - C|: the rate is held at C nats, a number or a schedule of the step."""
    return lambda kl, step: jnp.abs(jnp.sum(kl, axis=-1) - (nats(step) if callable(nats) else nats))


def free_bits(minimum: float) -> Charge:
    """sum_j max(minimum, mean_b KL_bj): `minimum` nats of every latent are free, in the mean over the batch. Every
    example is charged the same."""

    def charge(kl: Array, step: Array) -> Array:
        return jnp.broadcast_to(jnp.sum(jnp.maximum(jnp.mean(kl, axis=0), minimum)), kl.shape[:1])

    return charge


def rate(charge: Charge = total) -> Loss:
    """`charge` of KL(batch["posterior"] || batch["prior"]); the metric "kl" is the divergence itself, in nats, and
    "active_units" the share of latents that are used."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        kl = gaussian.kl(*batch["posterior"], *batch["prior"])
        metrics = {"kl": jnp.sum(kl, axis=-1), "active_units": active_units(batch["posterior"][0])}
        return charge(kl, batch.get("step", jnp.zeros(()))), Aux(metrics)

    return loss


def elbo(vae: VAE) -> Loss:
    """-ELBO in nats, a draw of z and an exact divergence."""
    return encoded(vae, add(distortion(vae.likelihood), rate()))


def active_units(mean: Array) -> Array:
    """The share of latents with Var_x E[z | x] > 0.01, over the batch [B, L]; the same number [B] times."""
    used = jnp.mean((jnp.var(mean, axis=0) > ACTIVE).astype(mean.dtype))
    return jnp.broadcast_to(used, mean.shape[:1])
