"""Penalties on the critic's gradient: published values and second-order gradients, and no NaN where a norm is zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.adversarial import critic_loss, relativistic
from jaxgen.losses.algebra import add, every, scale
from jaxgen.losses.penalties import around, between, dragan, gradient_penalty, one_sided, r1, r2, zero_centred
from jaxgen.losses.root import root

KEYS = jax.random.split(jax.random.key(0), 5)


def mlp(params, x, cond, keys):
    h = jnp.tanh(x.reshape(x.shape[0], -1) @ params["W1"].T + params["b1"])
    return (h @ params["W2"].T + params["b2"])[:, 0], {}


def cnn(params, x, cond, keys):
    def conv(x, kernel, bias):
        y = jax.lax.conv_general_dilated(x, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return y + bias[:, None, None]

    h = jax.nn.leaky_relu(conv(x, params["K1"], params["c1"]), 0.2)
    h = jax.nn.softplus(conv(h, params["K2"], params["c2"])).reshape(x.shape[0], -1)
    return (h @ params["W"].T + params["b"])[:, 0], {}


CRITICS = {"mlp": mlp, "cnn": cnn}


@pytest.mark.parametrize("name", CRITICS)
def test_penalties_match_published_values_and_second_order_gradients(golden, x64, jit, name):
    """The gradient of a penalty by the critic's weights is a second derivative: a stopped or misplaced one trains
    silently another penalty. Between x and x, and around x by nothing, there is only x: the points are the file's."""
    data, critic = golden(f"families/gan_penalties_{name}"), CRITICS[name]
    params = {key.split("/")[1]: jnp.asarray(value) for key, value in data.items() if key.startswith("params/")}
    real, fake = jnp.asarray(data["real"]), jnp.asarray(data["fake"])
    middle = data["eps"] * real + (1 - data["eps"]) * fake
    moved = real + 0.5 * jnp.std(real) * data["dragan_u"]

    def always(x):
        return lambda params, batch, keys: (x, {})

    cases = {
        "r1": (r1(critic), real),
        "r2": (r2(critic, always(fake)), real),
        "wgan_gp": (gradient_penalty(critic, always(middle)), middle),
        "wgan_lp": (one_sided(critic, always(middle)), middle),
        "zero_gp_interp": (zero_centred(critic, always(middle)), middle),
        "dragan": (dragan(critic, spread=0.0), moved),
        "r3gan_d_loss": (
            add(
                critic_loss(relativistic, always(fake), critic),
                scale(0.05, r1(critic)),
                scale(0.05, r2(critic, always(fake))),
            ),
            real,
        ),
    }

    @jit
    def results(params):
        def mean(params, loss, x):
            return loss(params, {"x": x}, KEYS)[0].mean()

        return {case: jax.value_and_grad(mean)(params, loss, x) for case, (loss, x) in cases.items()}

    for case, (value, gradient) in results(params).items():
        np.testing.assert_allclose(value, data[f"{case}/value"], rtol=1e-9, err_msg=case)
        for key in params:
            np.testing.assert_allclose(
                gradient[key], data[f"{case}/grad/{key}"], rtol=1e-9, atol=1e-9, err_msg=f"{case} {key}"
            )
    np.testing.assert_allclose(2 * r1(critic)(params, {"x": real}, KEYS)[0], data["r1_per_sample"], rtol=1e-9)
    np.testing.assert_allclose(2 * r2(critic, always(fake))(params, {"x": real}, KEYS)[0], data["r2_per_sample"])


def linear(params, x, cond, keys):
    return x.reshape(x.shape[0], -1) @ params["w"], {}


PENALTIES = {  # of D(x) = w . x, with |w| = n
    "r1": (lambda fakes: r1(linear), lambda n: n**2 / 2),
    "r2": (lambda fakes: r2(linear, fakes), lambda n: n**2 / 2),
    "gradient_penalty": (lambda fakes: gradient_penalty(linear, fakes), lambda n: (n - 1) ** 2),
    "one_sided": (lambda fakes: one_sided(linear, fakes), lambda n: max(0, n - 1) ** 2),
    "zero_centred": (lambda fakes: zero_centred(linear, fakes), lambda n: n**2),
    "dragan": (lambda fakes: dragan(linear), lambda n: (n - 1) ** 2),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_linear_critic_is_penalized_by_its_norm_and_a_flat_one_without_nan(name):
    """A critic starts flat where its last layer is zero: there the norm has no derivative, and one NaN ends a run.
    Below norm 1 the one-sided penalty must vanish, which the published case does not reach."""
    make, expected = PENALTIES[name]
    loss = make(lambda params, batch, keys: (-batch["x"], {}))
    batch = {"x": jnp.ones((5, 2, 2, 1)), "step": jnp.int32(3)}
    for norm in (0.0, 0.5, 3.0):
        w = norm * jnp.full(4, 0.5)
        value, gradient = jax.value_and_grad(lambda w: every(4, loss)({"w": w}, batch, KEYS)[0].mean())(w)
        np.testing.assert_allclose(value, 4 * expected(norm), rtol=1e-5, atol=1e-6)
        slope = (expected(norm + 1e-3) - expected(norm - 1e-3)) / 2e-3 if norm else 0.0
        np.testing.assert_allclose(gradient, 4 * slope * np.full(4, 0.5), rtol=1e-3, atol=1e-5)


def test_root_is_flat_at_zero_to_second_order():
    """sqrt has an infinite slope at 0, and where() alone would turn it into NaN."""
    for order in (root, jax.grad(root), jax.grad(jax.grad(root))):
        assert float(order(0.0)) == 0.0
    np.testing.assert_allclose(jax.grad(root)(4.0), 0.25)


def test_points_lie_uniformly_between_and_around():
    """One e for all pixels of an example and another for each example; DRAGAN's u for each pixel."""
    keys = jax.random.split(jax.random.key(1), 2000)
    x, y = jnp.ones((2000, 2, 2, 1)), jnp.zeros((2000, 2, 2, 1))
    e, _ = between(lambda params, batch, keys: (y, {}))({}, {"x": x}, keys)
    np.testing.assert_array_equal(e, jnp.broadcast_to(e[:, :1, :1], e.shape))
    np.testing.assert_allclose([e.mean(), e.std(), e.min(), e.max()], [0.5, 1 / np.sqrt(12), 0, 1], atol=0.03)
    data = jnp.where(jnp.arange(2000)[:, None, None, None] % 2 == 0, 3.0, -1.0) * x  # of standard deviation 2
    u = (around(0.5)({}, {"x": data}, keys)[0] - data).reshape(2000, -1)
    np.testing.assert_allclose([u.mean(), u.std(), u.min(), u.max()], [0.5, 1 / np.sqrt(12), 0, 1], atol=0.03)
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.1


def test_penalties_see_what_the_critic_loss_sees():
    """R1 and R2 differentiate the very judgement that is trained, its dropout and augmentation included; with other
    keys the critic would also be computed twice."""
    met = []

    def recorded(params, x, cond, keys):
        met.append((np.asarray(jax.random.key_data(keys)), cond))
        return x.sum(1), {}

    batch = {"x": jnp.ones((5, 2)), "cond": jnp.arange(5)}

    def fakes(params, batch, keys):
        return 2 * batch["x"], {}

    for loss in (critic_loss(relativistic, fakes, recorded), r1(recorded), r2(recorded, fakes)):
        loss({}, batch, KEYS)
    real, fake, of_r1, of_r2 = met
    jax.tree.map(np.testing.assert_array_equal, (real, fake), (of_r1, of_r2))
