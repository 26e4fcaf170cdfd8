"""What critic and generator minimise, against published numbers and the dynamics that theory predicts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.losses.adversarial import (
    against_mean,
    centred,
    critic,
    critic_loss,
    generate,
    generator_loss,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    relativistic,
    relativistic_average,
    smoothed,
    squared,
    wasserstein,
)
from jaxgen.losses.algebra import add, scale
from jaxgen.losses.penalties import r1
from jaxgen.train.player import Player, training

KEYS = jax.random.split(jax.random.key(0), 8)
PUBLISHED = {  # name in the golden file: (player, objective, factor)
    "d_bce": ("critic", minimax, 1),
    "d_bce_smooth0p9": ("critic", smoothed(0.9), 1),
    "d_hinge": ("critic", hinge, 1),
    "d_wgan": ("critic", wasserstein, 1),
    "d_lsgan_sum_half": ("critic", least_squares, 1),
    "d_lsgan_cyclegan": ("critic", least_squares, 1),
    "d_rpgan": ("critic", relativistic, 1),
    "d_ragan_bce_paper": ("critic", relativistic_average, 1),
    "d_ragan_bce_esrgan": ("critic", relativistic_average, 0.5),
    "d_ragan_ls": ("critic", against_mean(squared(fake=-1, real=1)), 2),
    "g_minimax_saturating": ("generator", minimax, 1),
    "g_nonsat": ("generator", non_saturating, 1),
    "g_hinge": ("generator", hinge, 1),
    "g_wgan": ("generator", wasserstein, 1),
    "g_lsgan_half": ("generator", least_squares, 1),
    "g_lsgan_cyclegan": ("generator", least_squares, 2),
    "g_rpgan": ("generator", relativistic, 1),
    "g_ragan_bce_paper": ("generator", relativistic_average, 1),
    "g_ragan_bce_esrgan": ("generator", relativistic_average, 0.5),
    "g_ragan_ls": ("generator", against_mean(squared(fake=-1, real=1)), 2),
}


def seen(params, x, cond, keys):
    """A critic whose logits are what it sees."""
    return x, {}


@pytest.mark.parametrize("name", PUBLISHED)
def test_objectives_match_published_values_and_gradients(golden, x64, name):
    """A wrong sign, factor or pairing trains another game: value and gradient by both kinds of logits are published."""
    data = golden("families/gan_losses")
    player, objective, factor = PUBLISHED[name]
    made = {"critic": critic_loss, "generator": generator_loss}[player]

    def value(real, fake):
        loss = made(objective, lambda params, batch, keys: (fake, {}), seen)
        return factor * jnp.mean(loss({}, {"x": real}, KEYS)[0])

    result, gradients = jax.value_and_grad(value, (0, 1))(jnp.asarray(data["real"]), jnp.asarray(data["fake"]))
    np.testing.assert_allclose(result, data[f"{name}/value"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients[0], data[f"{name}/grad_real"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients[1], data[f"{name}/grad_fake"], rtol=1e-9, atol=1e-12)


def test_centred_objectives_are_those_whose_critic_is_indifferent_at_zero():
    """Adaptive augmentation reads the sign of logits: an objective that shifts them, or is blind to shifts, must be
    told apart from one that does not."""
    assert all(map(centred, (minimax, non_saturating, hinge, squared(fake=-1, real=1))))
    apart = wasserstein, least_squares, relativistic, relativistic_average, smoothed(0.9)
    assert not any(map(centred, apart))


def test_every_published_objective_is_compared(golden):
    """A golden objective without a counterpart would go unnoticed."""
    assert {key.split("/")[0] for key in golden("families/gan_losses") if "/" in key} == set(PUBLISHED)


def test_logits_by_patches_count_as_their_mean_of_losses():
    """A critic of patches gives one loss an example: the mean over patches of the loss, not the loss of the mean."""
    x = jnp.asarray([[3.0, -1.0], [0.5, 2.0]])
    loss, aux = critic_loss(hinge, lambda *_: (-2 * x, {}), seen)({}, {"x": x}, KEYS[:2])
    np.testing.assert_allclose(loss, np.mean(np.maximum(0, 1 - x) + np.maximum(0, 1 - 2 * x), axis=1), rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["logits/fake"], -2 * x.mean(1), rtol=1e-6)


def test_fakes_are_the_same_to_every_loss_and_belong_to_their_keys():
    """Losses of one step that saw different fakes would cost a generator each; an example that saw its neighbours' keys
    would depend on the mesh."""
    make = generate(lambda params, z, cond, keys, train: (z * train, {}), latent=3)
    batch = {"x": jnp.zeros((8, 1))}
    z, _ = make({}, batch, KEYS)
    np.testing.assert_array_equal(z[2:5], make({}, {"x": jnp.zeros((3, 1))}, KEYS[2:5])[0])
    many = make({}, {"x": jnp.zeros((4000, 1))}, jax.random.split(jax.random.key(1), 4000))[0]
    np.testing.assert_allclose(jnp.cov(many.T), np.eye(3), atol=0.1)


def test_the_critic_meets_data_and_fakes_with_different_keys_and_their_own_classes():
    """The same augmentation on both would hide from the critic what it differs in; exchanged classes would train a
    generator of wrong classes."""
    met = []

    def recorded(params, x, cond, keys, train):
        met.append((x, cond, jax.random.key_data(keys), train))
        return x.sum(1), {"critic": {"batch_stats": x.mean()}}

    batch = {"x": jnp.ones((8, 2)), "cond": jnp.arange(8)}
    fakes = generate(lambda params, z, cond, keys, train: (z + 10.0 * cond[:, None], {"generator": {"s": 1}}), 2)
    _, aux = critic_loss(hinge, fakes, critic(recorded))({}, batch, KEYS)
    _, aux_generator = generator_loss(hinge, fakes, critic(recorded))({}, batch, KEYS)
    (real, cond, real_keys, train), (fake, cond_fake, fake_keys, _) = met[:2]
    np.testing.assert_array_equal(cond, cond_fake)
    assert train and not np.any(np.all(np.asarray(real_keys) == np.asarray(fake_keys), axis=1))
    for first, second in zip(met[:2], met[2:], strict=True):  # both players' losses of one step
        jax.tree.map(np.testing.assert_array_equal, first, second)
    assert float(aux.updates["critic"]["batch_stats"]) == 1.0  # statistics are those of the data
    assert aux_generator.updates == {"generator": {"s": 1}}


def test_spread_of_the_fakes_is_relative_to_that_of_the_data():
    """The metric that names a collapse: 1 for fakes like the data, 0 for one image, whatever the image."""
    x = jax.random.normal(jax.random.key(3), (8, 4))

    def ratio(fakes):
        loss = critic_loss(hinge, lambda *_: (fakes, {}), lambda params, x, cond, keys: (x.sum(1), {}))
        return loss({}, {"x": x}, KEYS)[1].metrics["fake_std"]

    np.testing.assert_allclose(ratio(x[::-1] + 5), np.ones(8), rtol=1e-5)
    np.testing.assert_allclose(ratio(jnp.broadcast_to(x[:1], x.shape)), np.zeros(8), atol=1e-6)
    np.testing.assert_allclose(ratio(0.5 * x), np.full(8, 0.5), rtol=1e-5)


@pytest.mark.parametrize("objective", [non_saturating, wasserstein, relativistic])
def test_dirac_gan_converges_with_r1_and_circles_without(jit, objective):
    """The data are one point, G(z) = theta, D(x) = psi x (1801.04406 section 2): the game alone circles its equilibrium
    and the gradient penalty draws it in. A wrong sign, or a player that moved the other's network, does neither."""

    def dirac(params, z, cond, keys, train):
        return jnp.broadcast_to(params["generator"]["params"]["theta"], (z.shape[0], 1)), {}

    def line(params, x, cond, keys, train):
        return params["critic"]["params"]["psi"] * x[:, 0], {}

    def final(gamma):
        fakes, judge = generate(dirac, 1), critic(line)
        players = [
            Player(("critic",), add(critic_loss(objective, fakes, judge), scale(gamma, r1(judge))), optax.sgd(0.05)),
            Player(("generator",), generator_loss(objective, fakes, judge), optax.sgd(0.05)),
        ]
        start = {"generator": {"params": {"theta": jnp.float32(1.0)}}, "critic": {"params": {"psi": jnp.float32(0.0)}}}
        trained = training(lambda key, batch: start, players)
        batch = {"x": jnp.zeros((2, 1))}

        @jit
        def run(key):
            return jax.lax.fori_loop(
                0, 600, lambda _, state: trained.step(state, batch, key)[0], trained.init(key, batch)
            )

        params = run(jax.random.key(0)).params
        return float(jnp.hypot(params["generator"]["params"]["theta"], params["critic"]["params"]["psi"]))

    assert final(1.0) < 0.002 and final(0.0) > 0.2
