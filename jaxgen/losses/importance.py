r"""The importance-weighted bound, and three estimators of its gradient.

    log p(x)  >=  log 1/K sum_k w_k,   w_k = p(x | z_k) p(z_k) / q(z_k | x),   z_k ~ q(z | x)

The bound rises with K towards log p(x); K = 1 is the ELBO with its divergence drawn instead of integrated.
Source: Burda, Grosse, Salakhutdinov 2016, "Importance Weighted Autoencoders", eq. (8).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from jaxgen import gaussian
from jaxgen.keys import fold
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.vae import LATENT, VAE, Gaussian, active_units

Weigh = Callable[[Params, Array, Gaussian], Array]  # (params, z [K, B, L], q) -> log w [K, B]
Gradient = Callable[[Weigh, Params, Array, Gaussian], Array]  # (weigh, params, z, q) -> bound [B]


def reparameterized(weigh: Weigh, params: Params, z: Array, q: Gaussian) -> Array:
    """The gradient of the bound as it stands; the signal of that of q falls with K (1802.04537)."""
    return log_mean(weigh(params, z, q))


def sticking_the_landing(weigh: Weigh, params: Params, z: Array, q: Gaussian) -> Array:
    """Without the score of q, whose mean is zero for K = 1: no variance where q is the posterior (1703.09194). For K
    above 1 the gradient of q is biased (1810.04152)."""
    return log_mean(weigh(params, z, jax.tree.map(stop_gradient, q)))


def doubly_reparameterized(weigh: Weigh, params: Params, z: Array, q: Gaussian) -> Array:
    """sum_k v_k^2 d log w_k/dz_k dz_k/dphi for q, with v = softmax(log w), and sum_k v_k d log w_k/dtheta for the rest:
    unbiased, with a signal that stays (1810.04152)."""
    q = jax.tree.map(stop_gradient, q)
    model = weigh(params, stop_gradient(z), q)
    path = weigh(jax.tree.map(stop_gradient, params), z, q)
    share = stop_gradient(jax.nn.softmax(model, axis=0))
    surrogate = jnp.sum(share * model + share**2 * path, axis=0)
    return surrogate + stop_gradient(log_mean(model) - surrogate)


def log_mean(log_w: Array) -> Array:
    """log 1/K sum_k w_k, [K, B] -> [B]."""
    return jax.nn.logsumexp(log_w, axis=0) - math.log(log_w.shape[0])


def log_weight(vae: VAE, params: Params, batch: Batch, keys: Array, z: Array, q: Gaussian) -> Array:
    """log w = log p(x | z) + log p(z) - log q(z | x), [B] nats of z [B, L]."""
    prior = gaussian.log_prob(z, *vae.prior(params, batch.get("cond")))
    return log_likelihood(vae, params, batch, keys, z) + jnp.sum(prior - gaussian.log_prob(z, *q), axis=-1)


def log_likelihood(vae: VAE, params: Params, batch: Batch, keys: Array, z: Array) -> Array:
    """log p(x | z), [B] nats of z [B, L]."""
    return vae.likelihood.log_prob(vae.parameters(params, batch, keys, z), batch["x"])


def bound(vae: VAE, params: Params, batch: Batch, keys: Array, eps: Array, gradient: Gradient) -> tuple[Array, Aux]:
    """The bound [B] in nats from the noise eps [K, B, L] of q, with the metrics of `elbo`."""
    mean, log_std = q = vae.posterior(params, batch, keys)
    z = mean + jnp.exp(log_std) * eps

    def weigh(params: Params, z: Array, q: Gaussian) -> Array:
        return jax.vmap(lambda one: log_weight(vae, params, batch, keys, one, q))(z)

    value = gradient(weigh, params, z, q)
    kl = jnp.sum(gaussian.kl(mean, log_std, *vae.prior(params, batch.get("cond"))), axis=-1)
    logp = jax.vmap(lambda one: log_likelihood(vae, params, batch, keys, one))(z)
    return value, Aux({"distortion": -jnp.mean(logp, axis=0), "kl": kl, "active_units": active_units(mean)})


def importance_weighted(vae: VAE, samples: int, gradient: Gradient = reparameterized) -> Loss:
    """The negative bound with K = `samples`, in nats; all K images of the batch are decoded at once."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        shape = jax.eval_shape(vae.posterior, params, batch, keys)[0].shape
        eps = jnp.moveaxis(gaussian.noise(keys, LATENT, (samples, shape[-1])), 1, 0)
        value, aux = bound(vae, params, batch, keys, eps, gradient)
        return -value, aux

    return loss


def serial(weigh: Callable[[Array], Array], keys: Array, samples: int) -> Array:
    """The bound [B] of K = `samples` weights `weigh(keys) -> log w [B]` of independent keys, one after the other: the
    memory of one sample for any K."""
    return log_mean(jax.lax.map(lambda k: weigh(fold(keys, k)), jnp.arange(samples)))


def estimate(vae: VAE, params: Params, batch: Batch, keys: Array, samples: int) -> Array:
    """The bound [B] in nats with K = `samples`, decoded one after the other: for a large K, without a gradient."""
    q = vae.posterior(params, batch, keys)

    def weigh(own: Array) -> Array:
        return log_weight(vae, params, batch, keys, gaussian.sample(own, LATENT, *q), q)

    return serial(weigh, keys, samples)
