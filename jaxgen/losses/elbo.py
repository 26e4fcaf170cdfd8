r"""The other two terms of a diffusion model's variational bound on discrete data (2107.00630 eq. 11).

    -log p(x) <= E[-log p(x | z_0)] + KL(q(z_1 | x) || p(z_1)) + diffusion,   diffusion = denoising(..., weight=vlb(T))

`variational_bound(diffusion, sde, levels)` is their sum in nats; divide by D log 2 for bits/dim.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen import gaussian
from jaxgen.losses.algebra import Aux, Batch, Loss, Params, add, named
from jaxgen.losses.denoising import total
from jaxgen.sde import SDE


def reconstruction(sde: SDE, levels: np.ndarray) -> Loss:
    """-log p(x | z_0) in nats, p(x_i | z_0) proportional to N(z_0i; alpha_0 x_i, sigma_0^2) over the `levels` [K] that
    a dimension can take in model space (2107.00630 section 4.1). batch["x"] holds values of `levels`."""
    if np.ndim(levels) != 1:
        raise ValueError(f"reconstruction expects a vector of levels, got shape {np.shape(levels)}.")

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x = batch["x"]
        start = jnp.full(x.shape[:1], sde.t0, x.dtype)
        noise_to_signal = (sde.sigma(start) / sde.alpha(start)).reshape((-1,) + (1,) * (x.ndim - 1))
        eps = gaussian.noise(keys, 0x4EC0, x.shape[1:], x.dtype)
        table = jnp.asarray(levels, x.dtype)
        distance = (x + noise_to_signal * eps)[..., None] - table
        logits = -0.5 * jnp.square(distance / noise_to_signal[..., None])
        logp = jax.nn.log_softmax(logits)
        index = jnp.argmin(jnp.abs(x[..., None] - table), axis=-1)
        return -total(jnp.take_along_axis(logp, index[..., None], axis=-1)[..., 0]), Aux()

    return loss


def prior_divergence(sde: SDE) -> Loss:
    """KL(q(z_1 | x) || N(0, prior_std^2 I)) in nats."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        x = batch["x"]
        mean, std = sde.marginal(x, jnp.full(x.shape[:1], sde.t1, x.dtype))
        ratio = jnp.square(std / sde.prior_std).reshape((-1,) + (1,) * (x.ndim - 1))
        return 0.5 * total(ratio + jnp.square(mean / sde.prior_std) - 1 - jnp.log(ratio)), Aux()

    return loss


def variational_bound(diffusion: Loss, sde: SDE, levels: np.ndarray) -> Loss:
    """-ELBO in nats per example: `diffusion` (a `denoising` with `weight=vlb(T)`, `reduce=total`), reconstruction and
    prior."""
    return add(
        named("diffusion", diffusion),
        named("reconstruction", reconstruction(sde, levels)),
        named("prior", prior_divergence(sde)),
    )
