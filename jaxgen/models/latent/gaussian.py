r"""Latents that are Gaussian, held near a standard normal distribution by a small weight: the KL autoencoder.

    z = mu + sigma eps,   loss = KL(N(mu, sigma^2) || N(0, 1)), summed over channels

Source: Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models" (2112.10752), section 3.1
and appendix G.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.models.latent.code import Code, per_example
from jaxgen.models.layers.salt import salt

LOWEST, HIGHEST = -30.0, 20.0  # of log sigma^2


class GaussianBottleneck(nn.Module):
    """[B, ..., 2 dim] of mu and log sigma^2 -> Code with z [B, ..., dim], drawn with the keys while `train`, and
    otherwise mu. Its loss, in nats, is a mean over the vectors of an example; it has no codebook."""

    dim: int = 4

    @property
    def inputs(self) -> int:
        return 2 * self.dim

    @property
    def sizes(self) -> tuple[int, ...]:
        return ()

    @nn.compact
    def __call__(self, z: Array, keys: Array | None = None, train: bool = False) -> Code:
        mean, log_variance = jnp.split(z, 2, axis=-1)
        log_std = 0.5 * jnp.clip(log_variance, LOWEST, HIGHEST)
        nats = per_example(jnp.sum(gaussian.kl(mean, log_std), axis=-1))
        drawn = mean if keys is None or not train else gaussian.sample(keys, salt(self), mean, log_std)
        return Code(drawn, (), nats, {"kl": nats, "std": per_example(jnp.exp(log_std))})
