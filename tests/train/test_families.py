"""One step trains every family: each learns a mixture of the plane, checked against its closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import (
    PROCESS,
    beta_vae,
    diffusion,
    diffusion_apply,
    diffusion_loss,
    distortion,
    flow_logp,
    gan,
    generate,
    made,
    made_logp,
    made_masks,
    mlp,
    rate,
    real_nvp,
)
from oracle import exact_denoiser, log_density, mixture, posterior_mean, sample_data

from jaxgen.denoiser import denoiser, quarter_log_sigma
from jaxgen.losses.denoising import denoising
from jaxgen.prediction import V, encode
from jaxgen.train import ema
from jaxgen.train.player import training
from jaxgen.train.state import averaged

DATA = mixture([0.5, 0.3, 0.2], [[1.5, 0.5], [-1.2, 1.0], [0.0, -1.4]], [0.35, 0.3, 0.4])
BATCH = 256


def learn(family, steps: int, seed: int = 0, decay: float = 0.99):
    """(averaged variables, metrics of every step) after `steps` steps on fresh data, one compiled loop."""
    trainer = training(family.init, family.players, ema=ema.warm(decay))
    key = jax.random.key(seed)

    @jax.jit
    def run(key):
        def step(state, i):
            x, _ = sample_data(DATA, jax.random.fold_in(key, i), BATCH)
            return trainer.step(state, {"x": x}, key)

        start = trainer.init(key, {"x": jnp.zeros((BATCH, 2))})
        return jax.lax.scan(step, start, jnp.arange(steps))

    state, metrics = run(key)
    return averaged(state), metrics


def optimizer(steps: int, rate: float = 3e-3) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


@pytest.fixture(scope="module")
def held_out() -> tuple[jax.Array, float]:
    """(x [N, 2], mean log density of the data at x)."""
    x, _ = sample_data(DATA, jax.random.key(99), 20_000)
    return x, float(log_density(DATA, x).mean())


def test_diffusion_learns_the_score(held_out):
    """The excess of its loss over the Bayes-optimal one, which is the score's error, is small; E[x_0 | x] is close."""
    params, _ = learn(diffusion(optimizer(1500)), 1500)
    x0, _ = held_out
    keys = jax.random.split(jax.random.key(5), len(x0))

    def bayes(params, x, label, cond, keys=None):
        t = PROCESS.time_at(-8 * label)
        return encode(PROCESS, V, *posterior_mean(DATA, PROCESS, x, t), t)

    best = denoising(bayes, PROCESS, V, label=quarter_log_sigma)
    learned, optimal = (float(loss(params, {"x": x0}, keys)[0].mean()) for loss in (diffusion_loss, best))
    assert 0 < learned - optimal < 0.02 and optimal > 0.1

    t = jnp.full(len(x0), 0.3)
    x = PROCESS.alpha(t)[:, None] * x0 + PROCESS.sigma(t)[:, None] * jax.random.normal(jax.random.key(6), x0.shape)
    got = denoiser(diffusion_apply, params, PROCESS, V, quarter_log_sigma).x0(x, t)
    assert float(jnp.sqrt(jnp.mean((got - exact_denoiser(PROCESS, DATA).x0(x, t)) ** 2))) < 0.1


def test_vae_bound_stays_below_the_evidence(held_out):
    """ELBO <= log p in the mean, whatever is learned; and a trained model comes near."""
    params, metrics = learn(beta_vae(optimizer(1500)), 1500)
    x, evidence = held_out
    keys = jax.random.split(jax.random.key(5), len(x))
    elbo = -float((distortion(params, {"x": x}, keys)[0] + rate(params, {"x": x}, keys)[0]).mean())
    assert evidence - 0.4 < elbo < evidence + 0.01
    total = metrics["distortion"] + metrics["rate"]
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-4, atol=1e-4)


def test_beta_weighs_the_rate(held_out):
    """A large beta empties the latent: the rate goes to zero and the distortion to that of one Gaussian."""
    _, metrics = learn(beta_vae(optimizer(300), beta=20.0), 300)
    assert float(metrics["rate"][-50:].mean()) < 0.01


def test_gan_with_r1_finds_every_mode():
    """Two players on one step: weights and places of the modes, from samples alone."""
    params, _ = learn(gan(optax.adam(1e-3, b1=0.0, b2=0.99)), 2000, decay=0.995)
    x = generate(params, jax.random.split(jax.random.key(7), 8000))
    nearest = np.argmin(np.linalg.norm(np.asarray(x)[:, None] - DATA.means, axis=-1), axis=1)
    real, _ = sample_data(DATA, jax.random.key(8), 8000)
    real_nearest = np.argmin(np.linalg.norm(np.asarray(real)[:, None] - DATA.means, axis=-1), axis=1)
    for mode in range(3):
        assert abs((nearest == mode).mean() - (real_nearest == mode).mean()) < 0.08
        assert np.linalg.norm(np.asarray(x)[nearest == mode].mean(0) - DATA.means[mode]) < 0.2


@pytest.mark.parametrize(
    ("family", "logp", "margin"), [(real_nvp, flow_logp, 0.15), (made, made_logp, 0.03)], ids=["real_nvp", "made"]
)
def test_exact_likelihood_models_reach_the_entropy(held_out, family, logp, margin):
    """E log p_model <= E log p_data with a gap of KL(data || model); its density integrates to one."""
    params, _ = learn(family(optimizer(1200)), 1200)
    x, evidence = held_out
    assert evidence - margin < float(logp(params, x).mean()) < evidence + 0.01
    axis = jnp.linspace(-6, 6, 401)
    plane = jnp.stack(jnp.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert abs(float(jnp.exp(logp(params, plane)).sum()) * (12 / 400) ** 2 - 1) < 0.02


def test_made_is_causal():
    """p(x_1) must not see x_2, nor the parameters of p(x_2 | x_1) see x_2 itself: else the likelihood is a lie."""
    params = made(optax.sgd(0.0)).init(jax.random.key(0), None)
    masks = made_masks(64)
    slope = jax.jacobian(lambda x: mlp(params["made"], x, masks))(jnp.asarray([0.3, -0.7]))
    first, second = np.split(np.asarray(slope), 2)
    assert np.all(first == 0) and np.all(second[:, 1] == 0) and np.all(second[:, 0] != 0)
