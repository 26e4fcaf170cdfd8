"""What a decoder says of an image: the published numbers, probabilities that sum to one, samples that follow them."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.likelihoods import (
    Likelihood,
    bernoulli,
    binomial,
    categorical,
    discretized_logistic,
    discretized_logistic_mixture,
    gaussian,
    logit_laplace,
)
from jaxgen.losses.logistics import drawn, unpack

LEVELS = 4
INTEGERS: dict[str, tuple[Likelihood, int]] = {
    "bernoulli": (bernoulli(), 2),
    "binomial": (binomial(LEVELS), LEVELS),
    "categorical": (categorical(LEVELS), LEVELS),
    "discretized_logistic": (discretized_logistic(LEVELS), LEVELS),
    "discretized_logistic_mixture": (discretized_logistic_mixture(LEVELS, 2), LEVELS),
}
WHOLE = [(name, channels) for name in INTEGERS for channels in (1, 3)]


def pixels(flat: np.ndarray) -> jax.Array:
    """[N, C] -> N images of one pixel."""
    return jnp.asarray(flat)[:, None, None, :]


def every_pixel(levels: int, channels: int) -> jax.Array:
    return pixels(np.array(list(product(np.linspace(-1, 1, levels), repeat=channels))))


def parameters_of(likelihood: Likelihood, channels: int, n: int, seed: int = 0) -> jax.Array:
    """The parameters of one pixel, n times."""
    one = np.random.default_rng(seed).normal(size=likelihood.outputs(channels))
    return pixels(np.tile(one, (n, 1)))


@pytest.mark.parametrize("kind", ["rgb", "gray"])
def test_mixture_is_that_of_pixelcnnpp(golden, x64, jit, kind):
    """A layout of channels, a threshold or a coupling unlike PixelCNN++'s changes bits/dim and published weights."""
    g = golden(f"families/ar_dmol_{kind}")
    mixture = discretized_logistic_mixture(256, 10)
    x = jnp.asarray(g["x_uint8"] / 127.5 - 1)
    channels = x.shape[-1]
    assert mixture.outputs(channels) == g["params"].shape[-1]
    each = jit(mixture.log_prob)(
        pixels(g["params"].reshape(-1, mixture.outputs(channels))), pixels(x.reshape(-1, channels))
    )
    wanted = g["log_prob_per_pixel" if kind == "rgb" else "log_prob"]
    np.testing.assert_allclose(each, wanted.reshape(-1), rtol=1e-9, atol=1e-9)
    nll, gradient = jit(jax.value_and_grad(lambda p: -mixture.log_prob(p, x).sum()))(jnp.asarray(g["params"]))
    np.testing.assert_allclose(nll, g["nll_sum"], rtol=1e-9)
    if kind == "rgb":
        np.testing.assert_allclose(gradient, g["grad_params"], rtol=1e-9, atol=1e-9)


def test_mixture_gives_every_level_of_a_pixel_its_published_share(golden, x64):
    """The open bins at both ends and all 254 between, at one pixel: a bin that is wrong is a wrong likelihood."""
    g = golden("families/ar_dmol_gray")
    parameters = pixels(np.tile(g["params"][0, 0, 0], (256, 1)))
    logp = discretized_logistic_mixture(256, 10).log_prob(parameters, pixels(np.arange(256)[:, None] / 127.5 - 1))
    np.testing.assert_allclose(logp, g["all256_log_prob_first_pixel"], rtol=1e-9, atol=1e-9)
    assert abs(np.exp(logp).sum() - 1) < 1e-9


def test_mixture_draws_what_pixelcnnpp_draws(golden, x64):
    """The same uniform numbers give the published image: component, means and couplings are those of its sampler."""
    g = golden("families/ar_dmol_rgb")
    gumbel, u = -np.log(-np.log(g["sample_gumbel_u"])), g["sample_logistic_u"]
    x = drawn(unpack(jnp.asarray(g["params"]), 10), gumbel, np.log(u) - np.log1p(-u), partial(jnp.clip, min=-1, max=1))
    np.testing.assert_allclose(x, g["sample"], rtol=1e-9, atol=1e-9)


def test_logit_laplace_is_that_of_dall_e(golden, x64):
    """The formula of DALL-E for y = 0.8 img + 0.1, times dy/dx = 0.4 from model space."""
    g = golden("families/vae_logit_laplace")
    x, parameters = (g["x"] - 0.5) / 0.4, np.concatenate([g["mu"], g["ln_b"]], axis=-1)
    logp = logit_laplace().log_prob(jnp.asarray(parameters)[:, None, None], jnp.asarray(x)[:, None, None])
    np.testing.assert_allclose(logp, (g["log_prob"] + np.log(0.4)).sum(-1), rtol=1e-9)


@pytest.mark.parametrize(("name", "channels"), WHOLE)
def test_probabilities_of_all_images_sum_to_one(name, channels, x64, jit):
    """A likelihood whose shares do not sum to one reports bits that no code has."""
    likelihood, levels = INTEGERS[name]
    x = every_pixel(levels, channels)
    logp = jit(likelihood.log_prob)(parameters_of(likelihood, channels, len(x)), x)
    assert abs(float(jnp.exp(logp).sum()) - 1) < 1e-6


@pytest.mark.parametrize(("name", "channels"), WHOLE)
def test_samples_follow_the_probabilities(name, channels, jit):
    """Samples that are not of the distribution whose likelihood is reported: wrong noise, a coupling to unrounded
    channels, a component chosen per channel."""
    likelihood, levels = INTEGERS[name]
    x, n = every_pixel(levels, channels), 20_000
    share = np.exp(jit(likelihood.log_prob)(parameters_of(likelihood, channels, len(x)), x))
    drawn = jit(likelihood.sample)(jax.random.split(jax.random.key(1), n), parameters_of(likelihood, channels, n))
    digits = np.rint((np.asarray(drawn).reshape(n, channels) + 1) / 2 * (levels - 1)).astype(int)
    count = np.bincount(digits @ (levels ** np.arange(channels)[::-1]), minlength=len(x))
    chi = np.sum((count - n * share) ** 2 / (n * share))
    assert chi < len(x) - 1 + 5 * np.sqrt(2 * len(x)), "beyond five standard deviations of its chi-square"


@pytest.mark.parametrize(("name", "channels"), WHOLE)
def test_channels_in_turn_have_the_probability_of_the_pixel(name, channels, x64, jit):
    """The logits of a channel are of another one, of a channel alone, or of means that do not move with the channels
    before: what is drawn by them would not follow the likelihood."""
    likelihood, levels = INTEGERS[name]
    x = every_pixel(levels, channels)
    parameters, k = parameters_of(likelihood, channels, len(x)), jnp.rint((x + 1) / 2 * (levels - 1)).astype(int)
    logits = jit(likelihood.logits)
    turns = [jax.nn.log_softmax(logits(parameters, x[..., :c])) for c in range(channels)]
    logp = sum(jnp.take_along_axis(turn, k[..., c, None], -1) for c, turn in enumerate(turns))
    np.testing.assert_allclose(logp.reshape(-1), likelihood.log_prob(parameters, x), atol=1e-5)


@pytest.mark.parametrize("name", ["bernoulli", "binomial", "categorical"])
def test_mean_is_the_mean_of_the_probabilities(name, x64):
    """A reconstruction that is not the mean of the distribution is blurred, shifted or of another scale."""
    likelihood, levels = INTEGERS[name]
    x = every_pixel(levels, 3)
    parameters = parameters_of(likelihood, 3, len(x))
    share = jnp.exp(likelihood.log_prob(parameters, x))
    np.testing.assert_allclose(likelihood.mean(parameters)[0, 0, 0], share @ x[:, 0, 0], rtol=1e-6, atol=1e-9)


DENSITIES = {"learned": (gaussian(), 12), "fixed": (gaussian(scale=0.3), 12), "logit_laplace": (logit_laplace(), 1.25)}


@pytest.mark.parametrize(("likelihood", "edge"), DENSITIES.values(), ids=DENSITIES)
def test_densities_integrate_to_one(likelihood, edge, x64):
    """A missing Jacobian or normalization shifts every likelihood by a constant that no training shows."""
    assert likelihood.density
    x = np.linspace(-edge, edge, 400_003)[1:-1]
    logp = likelihood.log_prob(parameters_of(likelihood, 1, len(x), seed=3), pixels(x[:, None]))
    assert abs(float(jnp.exp(logp).sum()) * (x[1] - x[0]) - 1) < 2e-3


def test_gradients_are_finite_where_a_bin_is_empty(jit):
    """Deep in a tail or at the smallest scale log 0 and its gradient would end a training."""
    mixture = discretized_logistic_mixture(256, 1)
    x = pixels(np.array([[-1.0], [0.2], [1.0]]))
    measured = jit(jax.value_and_grad(lambda p: mixture.log_prob(p, x).sum()))
    for mean, scale in ((40.0, -30.0), (-40.0, -30.0), (0.2, -30.0), (0.0, 8.0)):
        parameters = pixels(np.tile([0.0, mean, scale], (3, 1)).astype(np.float32))
        value, gradient = measured(parameters)
        assert jnp.isfinite(value) and jnp.isfinite(gradient).all()


def test_what_a_likelihood_cannot_be_of_is_said():
    """Binary likelihoods of gray images and couplings of four channels fail at build time, not as odd numbers."""
    with pytest.raises(ValueError, match="binary images, and these have 17 levels"):
        bernoulli(17)
    with pytest.raises(ValueError, match="1 or 3 channels, and these have 4"):
        discretized_logistic_mixture(256).outputs(4)
