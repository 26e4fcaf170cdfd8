"""What hierarchical variational autoencoders share: one ladder, walked in four ways.

    p(x, z) = p(x | z) prod_i p(z_i | z_<i),    q(z | x) = prod_i q(z_i | z_<i, x)

A network says what it sees of an image (`bottom_up`) and how a state goes down from group to group (`top_down`), where
it asks for every z_i in turn. Inference, generation, decoding and importance weights differ only in the answer.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian

Latents = tuple[Array, ...]  # z_i [B, H_i, W_i, D_i], in the order of generation
SALT = 0x1ADD  # of the noise of group i: SALT + i


class Normal(NamedTuple):
    """N(mean, exp(2 log_std)), elementwise."""

    mean: Array
    log_std: Array

    def at(self, eps: Array, temperature: float | Array = 1.0) -> Array:
        """mean + temperature std eps."""
        return self.mean + temperature * jnp.exp(self.log_std) * eps


def log_density(normal: Normal, z: Array) -> Array:
    """log N(z), summed per example: [B, H, W, D] -> [B] nats."""
    return jnp.sum(gaussian.log_prob(z, *normal), (1, 2, 3))


def divergence(q: Normal, p: Normal) -> Array:
    """KL(q || p), summed per example: [B] nats."""
    return jnp.sum(gaussian.kl(*q, *p), (1, 2, 3))


class Group(NamedTuple):
    """A group of latent variables on the way down: what was chosen, its prior, and its posterior where x is known."""

    z: Array
    p: Normal
    q: Normal | None


Choose = Callable[[int, Normal, Callable[[Any], Normal]], tuple[Array, Normal | None]]


class Ladder(nn.Module):
    """The public face of a hierarchical VAE; a subclass has the fields `shape` (H, W, C) and `num_classes` and defines

    latents      property: (H_i, W_i, D_i) of every group, in the order of generation
    bottom_up    (x, keys, train) -> what posteriors see of x
    top_down     (choose, batch, cond, keys, train) -> (parameters, groups): every group i calls `choose(i, p_i,
                 posterior)`, with `posterior(seen) -> q_i`, for (z_i, q_i or None)

    keys: one typed key per example [B], or None: posterior means, and no dropout. cond: class labels int [B] or None.
    """

    @property
    def latents(self) -> Sequence[tuple[int, int, int]]:
        raise NotImplementedError

    def bottom_up(self, x: Array, keys: Array | None, train: bool) -> Any:
        raise NotImplementedError

    def top_down(
        self, choose: Choose, batch: int, cond: Array | None, keys: Array | None, train: bool
    ) -> tuple[Array, tuple[Group, ...]]:
        raise NotImplementedError

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The height of every group, in the order of generation."""
        return tuple(height for height, _, _ in self.latents)

    def noise(self, keys: Array | None, batch: int) -> Latents:
        """eps_i ~ N(0, I) of every group, each example's from its own key; zeros without keys."""
        if keys is None:
            return tuple(jnp.zeros((batch, *shape)) for shape in self.latents)
        if keys.shape != (batch,):
            raise ValueError(
                f"a hierarchy takes one key per example: expected keys of shape ({batch},), got {keys.shape}; split "
                "the step's key with jax.random.split(key, batch_size)."
            )

        return tuple(gaussian.noise(keys, SALT + i, shape) for i, shape in enumerate(self.latents))

    def infer(
        self, x: Array, noise: Latents, cond: Array | None = None, keys: Array | None = None, train: bool = False
    ) -> tuple[Array, tuple[Group, ...]]:
        """z_i = m_q + s_q noise_i down the ladder: (parameters [B, H, W, out_channels], groups). keys: of dropout."""
        if x.shape[1:] != tuple(self.shape):
            raise ValueError(f"expected images [B, {', '.join(map(str, self.shape))}], got {x.shape}.")
        seen = self.bottom_up(x, keys, train)

        def choose(i: int, p: Normal, posterior: Callable[[Any], Normal]) -> tuple[Array, Normal]:
            q = posterior(seen)
            return q.at(noise[i]), q

        return self.top_down(choose, len(x), cond, keys, train)

    def __call__(
        self, x: Array, cond: Array | None = None, keys: Array | None = None, train: bool = False
    ) -> tuple[Array, Latents]:
        """(parameters of p(x | z) [B, H, W, out_channels] float32, KL(q_i || p_i) [B] nats of every group)."""
        dropped = keys if train else None
        parameters, groups = self.infer(x, self.noise(keys, len(x)), cond, dropped, train)
        return parameters, tuple(divergence(group.q, group.p) for group in groups if group.q is not None)

    def weigh(self, x: Array, cond: Array | None = None, keys: Array | None = None) -> tuple[Array, Array]:
        """(parameters, log p(z) - log q(z | x) [B] nats) at one z ~ q: what importance sampling of log p(x) needs."""
        parameters, groups = self.infer(x, self.noise(keys, len(x)), cond)
        ratios = (log_density(g.p, g.z) - log_density(g.q, g.z) for g in groups if g.q is not None)
        return parameters, jnp.sum(jnp.stack([*ratios]), 0)

    def posterior(self, x: Array, cond: Array | None = None, keys: Array | None = None) -> Latents:
        """z ~ q(z | x); its means without keys."""
        return tuple(group.z for group in self.infer(x, self.noise(keys, len(x)), cond)[1])

    def prior(self, keys: Array, cond: Array | None = None, temperature: float = 1.0) -> Latents:
        """z ~ p(z), every group with `temperature` times its standard deviation."""
        noise = self.noise(keys, len(keys))

        def choose(i: int, p: Normal, posterior: Any) -> tuple[Array, None]:
            return p.at(noise[i], temperature), None

        return tuple(group.z for group in self.top_down(choose, len(keys), cond, None, False)[1])

    def decode(self, zs: Latents, cond: Array | None = None) -> Array:
        """The parameters [B, H, W, out_channels] of p(x | z)."""

        def choose(i: int, p: Normal, posterior: Any) -> tuple[Array, None]:
            return zs[i], None

        return self.top_down(choose, len(zs[0]), cond, None, False)[0]
