"""Five families of generative model on points of the plane, each a few lines: what `training` must serve alike.

A family is its networks and its players; `init` and `players` are the arguments of `training`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgen.denoiser import quarter_log_sigma
from jaxgen.losses.algebra import Aux, Loss, add, draw, every, named, scale
from jaxgen.losses.denoising import denoising
from jaxgen.prediction import V
from jaxgen.sde import vp
from jaxgen.train.player import Lazy, Player

PROCESS = vp(t0=1e-3)
LATENT, MIXTURES = 2, 6


class Family(NamedTuple):
    init: Callable[[Array, Any], dict[str, Any]]
    players: tuple[Player, ...]


def mlp_init(key: Array, *sizes: int) -> list[dict[str, Array]]:
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"w": jax.random.normal(k, (n, m)) / np.sqrt(n), "b": jnp.zeros(m)}
        for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp(layers: list[dict[str, Array]], x: Array, masks: tuple[Any, ...] | None = None) -> Array:
    for i, layer in enumerate(layers):
        x = x @ (layer["w"] if masks is None else layer["w"] * masks[i]) + layer["b"]
        x = jax.nn.silu(x) if i < len(layers) - 1 else x
    return x


def normal_logp(x: Array, mean: Array, log_std: Array) -> Array:
    return -0.5 * jnp.square((x - mean) * jnp.exp(-log_std)) - log_std - 0.5 * np.log(2 * np.pi)


# Diffusion: one player, the denoising loss.


def diffusion_apply(params: Any, x: Array, label: Array, cond: Any = None, keys: Array | None = None) -> Array:
    features = jnp.stack([label, jnp.sin(3 * label), jnp.cos(3 * label)], axis=1)
    return mlp(params["net"], jnp.concatenate([x, features], axis=1))


diffusion_loss = denoising(diffusion_apply, PROCESS, V, label=quarter_log_sigma)


def diffusion(tx: optax.GradientTransformation, width: int = 64) -> Family:
    return Family(
        lambda key, batch: {"net": mlp_init(key, 5, width, width, 2)}, (Player(("net",), diffusion_loss, tx),)
    )


# beta-VAE: one player with two networks; rate and distortion are losses of their own.


def encode(params: Any, x: Array) -> tuple[Array, Array]:
    mean, log_std = jnp.split(mlp(params["encoder"], x), 2, axis=1)
    return mean, log_std


def distortion(params: Any, batch: Any, keys: Array) -> tuple[Array, Aux]:
    """-log p(x | z), z ~ q(z | x)."""
    mean, log_std = encode(params, batch["x"])
    z = mean + jnp.exp(log_std) * draw(keys, 1, lambda key: jax.random.normal(key, (LATENT,)))
    centre, spread = jnp.split(mlp(params["decoder"], z), 2, axis=1)
    return -normal_logp(batch["x"], centre, spread).sum(1), Aux()


def rate(params: Any, batch: Any, keys: Array) -> tuple[Array, Aux]:
    """KL(q(z | x) || N(0, I))."""
    mean, log_std = encode(params, batch["x"])
    return (0.5 * (jnp.exp(2 * log_std) + mean**2 - 1) - log_std).sum(1), Aux()


def beta_vae(tx: optax.GradientTransformation, width: int = 64, beta: float | Callable = 1.0) -> Family:
    def init(key: Array, batch: Any) -> dict[str, Any]:
        keys = jax.random.split(key)
        return {
            "encoder": mlp_init(keys[0], 2, width, width, 2 * LATENT),
            "decoder": mlp_init(keys[1], LATENT, width, width, 4),
        }

    loss = add(named("distortion", distortion), scale(beta, named("rate", rate)))
    return Family(init, (Player(("encoder", "decoder"), loss, tx),))


# GAN: two players, non-saturating losses and the R1 penalty.


def generate(params: Any, keys: Array, salt: int = 1) -> Array:
    return mlp(params["generator"], draw(keys, salt, lambda key: jax.random.normal(key, (4,))))


def critic(params: Any, x: Array) -> Array:
    return mlp(params["critic"], x)[:, 0]


def generator_loss(params: Any, batch: Any, keys: Array) -> tuple[Array, Aux]:
    return jax.nn.softplus(-critic(params, generate(params, keys))), Aux()


def critic_loss(params: Any, batch: Any, keys: Array) -> tuple[Array, Aux]:
    fake = generate(params, keys)
    return jax.nn.softplus(critic(params, fake)) + jax.nn.softplus(-critic(params, batch["x"])), Aux()


def r1(params: Any, batch: Any, keys: Array) -> tuple[Array, Aux]:
    """|grad_x D(x)|^2 / 2 at data."""
    slope = jax.grad(lambda x: critic(params, x).sum())(batch["x"])
    return 0.5 * jnp.square(slope).sum(1), Aux()


def gan(tx: optax.GradientTransformation, width: int = 64, gamma: float = 0.3) -> Family:
    def init(key: Array, batch: Any) -> dict[str, Any]:
        keys = jax.random.split(key)
        return {
            "generator": mlp_init(keys[0], 4, width, width, 2),
            "critic": mlp_init(keys[1], 2, width, width, 1),
        }

    judge: Loss = add(critic_loss, scale(gamma, named("r1", r1)))
    return Family(init, (Player(("critic",), judge, tx), Player(("generator",), generator_loss, tx)))


def lazy_gan(tx: optax.GradientTransformation, width: int = 64) -> Family:
    """The same where the generator moves at every second step, R1 has a move of its own, a penalty in the critic's loss
    is due at every third, and a running mean of the logits belongs to no network."""

    def init(key: Array, batch: Any) -> dict[str, Any]:
        return {**gan(tx, width).init(key, batch), "running": {"params": {}, "state": {"mean": jnp.zeros(())}}}

    def centred(params: Any, batch: Any, keys: Array) -> tuple[Array, Aux]:
        logits = critic(params, batch["x"])
        mean = params["running"]["state"]["mean"]
        return jnp.square(logits - mean), Aux({}, {"running": {"state": {"mean": 0.9 * mean + 0.1 * logits.mean()}}})

    judge = add(critic_loss, every(3, named("centred", scale(lambda p, b, k: critic(p, b["x"]) ** 2, centred))))
    players = (
        Player(("critic", "running"), judge, tx, lazy=Lazy(named("r1", r1), 2)),
        Player(("generator",), generator_loss, tx, every=2),
    )
    return Family(init, players)


# RealNVP: affine couplings that alternate which coordinate they move.


def flow_logp(params: Any, x: Array) -> Array:
    logdet = jnp.zeros(len(x))
    for i, layers in enumerate(params["flow"]):
        kept, moved = x[:, i % 2], x[:, 1 - i % 2]
        shift, log_scale = mlp(layers, kept[:, None]).T
        log_scale = 2 * jnp.tanh(log_scale / 2)
        moved = (moved - shift) * jnp.exp(-log_scale)
        x = jnp.stack([kept, moved] if i % 2 == 0 else [moved, kept], axis=1)
        logdet -= log_scale
    return normal_logp(x, jnp.zeros(()), jnp.zeros(())).sum(1) + logdet


def real_nvp(tx: optax.GradientTransformation, width: int = 64, layers: int = 6) -> Family:
    def init(key: Array, batch: Any) -> dict[str, Any]:
        return {"flow": [mlp_init(k, 1, width, width, 2) for k in jax.random.split(key, layers)]}

    return Family(init, (Player(("flow",), lambda p, batch, keys: (-flow_logp(p, batch["x"]), Aux()), tx),))


# MADE: one masked network gives every conditional, here a mixture of Gaussians.


def made_masks(width: int) -> tuple[np.ndarray, ...]:
    """Output d may only see inputs before d: with two coordinates the second sees the first, which sees nothing."""
    inputs, hidden, outputs = np.arange(1, 3), np.ones(width), np.repeat(np.arange(1, 3), 3 * MIXTURES)
    reach = [inputs[:, None] <= hidden, hidden[:, None] <= hidden, hidden[:, None] < outputs]
    return tuple(mask.astype(np.float32) for mask in reach)


def made_logp(params: Any, x: Array) -> Array:
    masks = made_masks(params["made"][0]["b"].shape[0])
    logit, mean, log_std = jnp.moveaxis(mlp(params["made"], x, masks).reshape(-1, 2, 3, MIXTURES), 2, 0)
    parts = jax.nn.log_softmax(logit) + normal_logp(x[..., None], mean, log_std)
    return jax.nn.logsumexp(parts, axis=-1).sum(1)


def made(tx: optax.GradientTransformation, width: int = 64) -> Family:
    def init(key: Array, batch: Any) -> dict[str, Any]:
        layers = mlp_init(key, 2, width, width, 6 * MIXTURES)
        means = jnp.zeros((2, 3, MIXTURES)).at[:, 1].set(jnp.linspace(-2, 2, MIXTURES))  # apart, so that they differ
        return {"made": [*layers[:-1], {**layers[-1], "b": means.reshape(-1)}]}

    return Family(init, (Player(("made",), lambda p, batch, keys: (-made_logp(p, batch["x"]), Aux()), tx),))


FAMILIES = {"diffusion": diffusion, "beta_vae": beta_vae, "gan": gan, "real_nvp": real_nvp, "made": made}
