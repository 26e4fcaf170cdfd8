r"""What a decoder says of an image: log p(x | parameters) of integer pixels, or of a density over model space.

    x = 2 k / (levels - 1) - 1 in [-1, 1],   k = 0 .. levels - 1

| likelihood | of | parameters, along the last axis |
|---|---|---|
| `bernoulli`, `binomial(levels)` | integers | C logits |
| `categorical(levels)` | integers | C blocks of `levels` logits |
| `discretized_logistic(levels)` | integers | C means, C log scales |
| `discretized_logistic_mixture(levels, K)` | integers | K logits, C blocks of K means, K log scales (and K couplings) |
| `gaussian(scale)` | a density | C means (and C log scales) |
| `logit_laplace` | a density | C means, C log scales, of the logit |

A density is that of model space: of the integers it says nothing until they are dequantized and the log-determinant of
the way from levels to model space is added.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from jaxgen import gaussian as normal
from jaxgen.keys import draw, fold
from jaxgen.losses.denoising import total
from jaxgen.losses.logistics import FLOOR, drawn, log_bin, settled, unpack

OUTPUT, COMPONENT = 0x0A7B, 0xC07B  # salts: of the pixels, of the component of a mixture they are drawn from


class Likelihood(NamedTuple):
    """log_prob: (parameters [B, H, W, outputs(C)], x [B, H, W, C] in model space) -> [B] nats.
    mean:       parameters -> x [B, H, W, C], the image that is shown for them.
    sample:     (keys [B], parameters) -> x [B, H, W, C].
    outputs:    C -> how many channels of parameters images of C channels have.
    logits:     (parameters, x [B, H, W, c] of the first c channels) -> [B, H, W, levels], of the levels of the next one
                given these: log P up to what is the same for all levels. None for a density.
    density:    whether log_prob is that of a density over model space, not of the integers;
    bounded:    whether of one in [-1, 1] alone;
    separate:   whether the parameters are C blocks, each the whole distribution of its channel: a network may show each
                the channels before its own.
    """

    log_prob: Callable[[Array, Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, Array], Array]
    outputs: Callable[[int], int]
    logits: Callable[[Array, Array], Array] | None = None
    density: bool = False
    bounded: bool = False
    separate: bool = False


def gaussian(scale: float | None = None) -> Likelihood:
    """x ~ N(mean, std^2), a density; std is `scale` everywhere, or for None a parameter of every pixel. With a fixed
    scale -log p is |x - mean|^2 / (2 scale^2) and a constant."""

    def split(parameters: Array) -> tuple[Array, Array]:
        if scale is not None:
            return parameters, jnp.full_like(parameters, math.log(scale))
        mean, log_std = jnp.split(parameters, 2, axis=-1)
        return mean, log_std

    return Likelihood(
        log_prob=lambda parameters, x: total(normal.log_prob(x, *split(parameters))),
        mean=lambda parameters: split(parameters)[0],
        sample=lambda keys, parameters: normal.sample(keys, OUTPUT, *split(parameters)),
        outputs=lambda channels: channels if scale is not None else 2 * channels,
        density=True,
    )


def bernoulli(levels: int = 2) -> Likelihood:
    """log p(x) = k log p + (1 - k) log(1 - p) of binary images."""
    if levels != 2:
        raise ValueError(
            f"bernoulli is of binary images, and these have {levels} levels: take categorical, or binomial, "
            "which counts the ones of levels - 1 Bernoulli draws a pixel."
        )
    return binomial(2)


def binomial(levels: int) -> Likelihood:
    """log P(k) = log C(n, k) + k log p + (n - k) log(1 - p), n = levels - 1: every pixel counts the ones of n Bernoulli
    draws. Its gradient is n times the cross-entropy of p and k/n, and it is a probability, which that is not."""
    n = levels - 1

    def log_level(logits: Array, x: Array) -> Array:
        k = 0.5 * n * (x + 1)
        ways = gammaln(n + 1.0) - gammaln(k + 1) - gammaln(n - k + 1)
        return ways + k * jax.nn.log_sigmoid(logits) + (n - k) * jax.nn.log_sigmoid(-logits)

    def sample(keys: Array, logits: Array) -> Array:
        each = fold(keys, OUTPUT), jax.nn.sigmoid(logits)
        k = jax.vmap(lambda key, p: jax.random.binomial(key, n, p, dtype=p.dtype))(*each)
        return 2 * k / n - 1

    return Likelihood(
        lambda logits, x: total(log_level(logits, x)),
        lambda logits: 2 * jax.nn.sigmoid(logits) - 1,
        sample,
        outputs=lambda channels: channels,
        logits=lambda logits, seen: log_level(of_next(logits, seen), every(levels, seen)),
    )


def categorical(levels: int) -> Likelihood:
    """log P(k) = log softmax(logits)_k: any distribution of a pixel over its levels."""

    def split(parameters: Array) -> Array:
        return parameters.reshape(*parameters.shape[:-1], -1, levels)

    def log_prob(parameters: Array, x: Array) -> Array:
        logp = jax.nn.log_softmax(split(parameters))
        k = jnp.round(0.5 * (levels - 1) * (x + 1)).astype(jnp.int32)
        return total(jnp.take_along_axis(logp, k[..., None], axis=-1)[..., 0])

    def mean(parameters: Array) -> Array:
        table = jnp.linspace(-1, 1, levels, dtype=parameters.dtype)
        return jax.nn.softmax(split(parameters)) @ table

    def sample(keys: Array, parameters: Array) -> Array:
        logits = split(parameters)
        k = jnp.argmax(logits + gumbel(keys, OUTPUT, logits), axis=-1)
        return (2 * k / (levels - 1) - 1).astype(logits.dtype)

    return Likelihood(
        log_prob,
        mean,
        sample,
        outputs=lambda channels: channels * levels,
        logits=lambda parameters, seen: split(parameters)[..., seen.shape[-1], :],
        separate=True,
    )


def discretized_logistic(levels: int) -> Likelihood:
    """P(k) = F(x + d) - F(x - d), d = 1/(levels - 1), F the CDF of a logistic; the outer bins are open (Kingma et al.
    2016, "Improved Variational Inference with Inverse Autoregressive Flow", appendix C)."""

    def log_prob(parameters: Array, x: Array) -> Array:
        mean, log_scale = jnp.split(parameters, 2, axis=-1)
        return total(log_bin(x, mean, log_scale, levels))

    def sample(keys: Array, parameters: Array) -> Array:
        mean, log_scale = jnp.split(parameters, 2, axis=-1)
        return settled(mean + jnp.exp(jnp.maximum(log_scale, FLOOR)) * logistic(keys, OUTPUT, mean), levels)

    def logits(parameters: Array, seen: Array) -> Array:
        mean, log_scale = (of_next(part, seen) for part in jnp.split(parameters, 2, axis=-1))
        return log_bin(every(levels, seen), mean, log_scale, levels)

    return Likelihood(
        log_prob,
        lambda parameters: jnp.clip(jnp.split(parameters, 2, axis=-1)[0], -1, 1),
        sample,
        lambda channels: 2 * channels,
        logits,
    )


def discretized_logistic_mixture(levels: int, mixtures: int = 10) -> Likelihood:
    """P(x) = sum_j pi_j prod_c P_jc(x_c): one component a pixel, discretized logistics of its channels, of which green
    moves with red and blue with both: mean_g + a r, mean_b + b r + c g.

    `mean` leaves aside what discretization and the ends of the range do to it. A `sample` settles on the level of a
    channel before the next one moves with it, as log_prob has it.

    Source: Salimans et al. 2017, "PixelCNN++", sections 2.1 and 2.2, with the numbers of its code.
    """

    def joint(parameters: Array, x: Sequence[Array]) -> Array:
        """log P of the first channels, as many as x has, each [..., 1]."""
        mixture = unpack(parameters, mixtures)
        logp = jax.nn.log_softmax(mixture.logits)
        for c, value in enumerate(x):
            logp = logp + log_bin(value, mixture.mean(c, x[:c]), mixture.log_scales[..., c, :], levels)
        return jax.nn.logsumexp(logp, axis=-1)

    def log_prob(parameters: Array, x: Array) -> Array:
        return total(joint(parameters, [x[..., c, None] for c in range(x.shape[-1])]))

    def logits(parameters: Array, seen: Array) -> Array:
        before = [seen[..., None, c, None] for c in range(seen.shape[-1])]
        return joint(parameters[..., None, :], [*before, every(levels, seen)[:, None]])

    def mean(parameters: Array) -> Array:
        mixture = unpack(parameters, mixtures)
        means: list[Array] = []
        for c in range(mixture.means.shape[-2]):
            means.append(mixture.mean(c, means))
        weights = jax.nn.softmax(mixture.logits)
        return jnp.clip(jnp.stack([(weights * m).sum(-1) for m in means], axis=-1), -1, 1)

    def sample(keys: Array, parameters: Array) -> Array:
        mixture = unpack(parameters, mixtures)
        noise = gumbel(keys, COMPONENT, mixture.logits), logistic(keys, OUTPUT, mixture.means[..., 0])
        return drawn(mixture, *noise, partial(settled, levels=levels))

    def outputs(channels: int) -> int:
        if channels not in (1, 3):
            raise ValueError(
                f"discretized_logistic_mixture is of images of 1 or 3 channels, and these have {channels}: take "
                "discretized_logistic or categorical."
            )
        return mixtures * (3 if channels == 1 else 10)

    return Likelihood(log_prob, mean, sample, outputs, logits)


def logit_laplace(margin: float = 0.1) -> Likelihood:
    """log p(x) = log(1/2 - m) - log(2 b y (1 - y)) - |logit y - mu| / b of y = 1/2 + (1/2 - m) x, which lies in
    [m, 1 - m]: a density. `mean` is the median, which is what DALL-E shows (Ramesh et al. 2021, appendix A.3)."""
    slope = 0.5 - margin

    def log_prob(parameters: Array, x: Array) -> Array:
        mu, log_b = jnp.split(parameters, 2, axis=-1)
        y = 0.5 + slope * x
        distance = jnp.abs(jnp.log(y) - jnp.log1p(-y) - mu)
        return total(math.log(slope) - jnp.log(2 * y * (1 - y)) - log_b - distance * jnp.exp(-log_b))

    def shown(logit: Array) -> Array:
        return jnp.clip((jax.nn.sigmoid(logit) - 0.5) / slope, -1, 1)

    def sample(keys: Array, parameters: Array) -> Array:
        mu, log_b = jnp.split(parameters, 2, axis=-1)
        return shown(
            mu + jnp.exp(log_b) * draw(keys, OUTPUT, lambda key: jax.random.laplace(key, mu.shape[1:], mu.dtype))
        )

    return Likelihood(
        log_prob,
        lambda parameters: shown(jnp.split(parameters, 2, axis=-1)[0]),
        sample,
        outputs=lambda channels: 2 * channels,
        density=True,
        bounded=True,
    )


def every(levels: int, like: Array) -> Array:
    """All levels in model space, [levels]."""
    return 2 * jnp.arange(levels, dtype=like.dtype) / (levels - 1) - 1


def of_next(parameters: Array, seen: Array) -> Array:
    """Those [..., C] of the channel after `seen` [..., c], for each of its levels: [..., 1]."""
    return parameters[..., seen.shape[-1], None]


def gumbel(keys: Array, salt: int, like: Array) -> Array:
    return draw(keys, salt, lambda key: jax.random.gumbel(key, like.shape[1:], like.dtype))


def logistic(keys: Array, salt: int, like: Array) -> Array:
    return draw(keys, salt, lambda key: jax.random.logistic(key, like.shape[1:], like.dtype))
