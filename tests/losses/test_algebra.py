"""Each combinator means what its formula says, in value and in gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.algebra import Aux, add, draw, drop_condition, every, mask, named, on, scale

B = 6
KEYS = jax.random.split(jax.random.key(0), B)
BATCH = {"x": jnp.linspace(-1.0, 2.0, B), "step": jnp.int32(0)}
PARAMS = {"w": jnp.asarray(1.5)}


def square(params, batch, keys):
    return (params["w"] * batch["x"]) ** 2, Aux({"x": batch["x"]}, {"net": {"seen": batch["x"].sum()}})


def linear(params, batch, keys):
    return params["w"] * batch["x"], Aux({"y": batch["x"] + 1})


def pure(params, batch, keys):
    return (params["w"] * batch["x"]) ** 2 + draw(keys, 1, jax.random.normal), Aux()


def at(loss, step: int = 0):
    return loss(PARAMS, {**BATCH, "step": jnp.int32(step)}, KEYS)


def test_add_sums_values_and_unites_what_is_reported():
    value, aux = at(add(square, linear))
    np.testing.assert_allclose(value, at(square)[0] + at(linear)[0])
    assert set(aux.metrics) == {"x", "y"} and set(aux.updates) == {"net"}


def test_scale_takes_a_number_or_a_schedule_of_the_step():
    """Beta warm-up of a VAE: the weight follows the step of the training."""
    np.testing.assert_allclose(at(scale(0.3, square))[0], 0.3 * at(square)[0], rtol=1e-6)
    warm = scale(lambda step: jnp.minimum(step / 10, 1.0), square)
    np.testing.assert_allclose(at(warm, 4)[0], 0.4 * at(square)[0], rtol=1e-6)
    np.testing.assert_allclose(at(warm, 40)[0], at(square)[0], rtol=1e-6)


def test_named_reports_the_value_without_changing_it():
    value, aux = at(named("rate", square))
    np.testing.assert_array_equal(value, at(square)[0])
    np.testing.assert_array_equal(aux.metrics["rate"], value)
    assert "x" in aux.metrics


def test_mask_keeps_only_the_chosen_examples():
    """Unlabelled examples must give neither value nor gradient to a labelled loss."""

    def chosen(batch):
        return batch["x"] > 0

    value, _ = at(mask(chosen, square))
    np.testing.assert_allclose(value, np.where(BATCH["x"] > 0, at(square)[0], 0))
    gradient = jax.grad(lambda x: mask(chosen, square)(PARAMS, {"x": x}, KEYS)[0].sum())(BATCH["x"])
    assert np.all((np.asarray(gradient) != 0) == (np.asarray(BATCH["x"]) > 0))


@pytest.mark.parametrize("n", [1, 4])
def test_every_keeps_the_mean_weight(n):
    """Lazy regularization: over n steps value and gradient average to the plain loss's; between they are zero."""

    @jax.jit
    def both(params, step):
        return jax.value_and_grad(lambda p: every(n, pure)(p, {**BATCH, "step": step}, KEYS)[0].mean())(params)

    values, gradients = zip(*(both(PARAMS, jnp.int32(step)) for step in range(8)), strict=True)
    value, gradient = jax.value_and_grad(lambda p: pure(p, BATCH, KEYS)[0].mean())(PARAMS)
    np.testing.assert_allclose(np.mean(values), value, rtol=1e-6)
    np.testing.assert_allclose(np.mean([g["w"] for g in gradients]), gradient["w"], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(values) != 0, np.arange(8) % n == 0)


def test_every_refuses_losses_that_update_collections():
    with pytest.raises(ValueError, match="updates"):
        at(every(2, square))


def test_on_gives_the_loss_another_view():
    value, _ = at(on(lambda batch: {**batch, "x": -2 * batch["x"]}, linear))
    np.testing.assert_allclose(value, -2 * at(linear)[0], rtol=1e-6)


def test_combinators_do_not_touch_the_randomness_of_a_loss():
    """Adding a regularizer must not change the noise that a loss draws."""
    alone = at(pure)[0]
    both = at(add(pure, scale(0.0, linear)))[0]
    np.testing.assert_allclose(both, alone, rtol=1e-6)


def test_draw_is_per_example_and_per_salt():
    """Two draws of one example are independent, and example i's draw does not see the batch around it."""
    first, second = (draw(KEYS, salt, jax.random.normal) for salt in (1, 2))
    assert not np.any(np.isclose(first, second))
    np.testing.assert_array_equal(draw(KEYS[2:], 1, jax.random.normal), first[2:])


def test_drop_condition_drops_at_its_rate_and_whole_examples():
    """Classifier-free training: about `rate` of the examples see null in every leaf, the others see all of theirs."""
    n = 4000
    keys = jax.random.split(jax.random.key(1), n)
    cond = {"label": jnp.arange(n), "text": jnp.ones((n, 3))}

    def seen(params, batch, keys):
        gone = batch["cond"]["label"] == -1
        whole = jnp.where(gone, 0.0, 1.0)[:, None] == batch["cond"]["text"]
        return jnp.where(jnp.all(whole, axis=1), gone, jnp.nan), Aux()

    dropped, _ = drop_condition(0.15, {"label": -1, "text": 0.0}, seen)({}, {"cond": cond}, keys)
    assert np.all(np.isfinite(dropped)) and abs(float(dropped.mean()) - 0.15) < 0.02
    kept, _ = drop_condition(0.0, {"label": -1, "text": 0.0}, seen)({}, {"cond": cond}, keys)
    assert float(kept.sum()) == 0
