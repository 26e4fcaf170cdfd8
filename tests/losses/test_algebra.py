"""Each combinator means what its formula says, in value and in gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.losses.algebra import (
    Aux,
    Periodic,
    add,
    draw,
    drop_condition,
    every,
    fitted,
    mask,
    named,
    on,
    scale,
    watched,
)

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


def test_what_is_watched_trains_nothing():
    """Breaks if a loss that is only looked at moves a parameter or a collection, or spoils a step by not being finite,
    as it would with the weight zero."""

    def infinite(params, batch, keys):
        return jnp.log(0 * params["w"] * batch["x"]), Aux({"seen": batch["x"]}, {"net": {"seen": batch["x"].sum()}})

    value, aux = at(watched(infinite))
    np.testing.assert_array_equal(value, np.zeros(B))
    assert set(aux.metrics) == {"seen"} and not aux.updates
    gradient = jax.grad(lambda params: watched(infinite)(params, BATCH, KEYS)[0].sum())(PARAMS)
    assert float(gradient["w"]) == 0


@pytest.mark.parametrize("weight", [lambda p, batch, keys: p["w"] ** 2, lambda p, batch, keys: batch["x"]])
def test_scale_takes_a_function_whose_gradient_does_not_count(weight):
    """A weight that balances two gradients: differentiated itself, it would pull where neither loss does."""
    np.testing.assert_allclose(at(scale(weight, square))[0], weight(PARAMS, BATCH, KEYS) * at(square)[0], rtol=1e-6)
    slope = jax.grad(lambda p: scale(weight, square)(p, BATCH, KEYS)[0].sum())(PARAMS)
    fixed = jax.grad(lambda p: (weight(PARAMS, BATCH, KEYS) * square(p, BATCH, KEYS)[0]).sum())(PARAMS)
    np.testing.assert_allclose(slope["w"], fixed["w"], rtol=1e-6)


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
    """Lazy regularization: over n steps value and gradient average to the plain loss's; between they are zero. It is
    due where logs are, at multiples of n."""

    @jax.jit
    def both(params, step):
        return jax.value_and_grad(lambda p: every(n, pure)(p, {**BATCH, "step": step}, KEYS)[0].mean())(params)

    values, gradients = zip(*(both(PARAMS, jnp.int32(step)) for step in range(8)), strict=True)
    value, gradient = jax.value_and_grad(lambda p: pure(p, BATCH, KEYS)[0].mean())(PARAMS)
    np.testing.assert_allclose(np.mean(values), value, rtol=1e-6)
    np.testing.assert_allclose(np.mean([g["w"] for g in gradients]), gradient["w"], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(values) != 0, np.arange(1, 9) % n == 0)


def counting(name: str):
    """A loss of 1 that counts its calls in a collection of the network `name`."""

    def loss(params, batch, keys):
        n = params[name]["state"]["n"]
        return jnp.ones(B), Aux({"n": jnp.broadcast_to(n, B)}, {name: {"state": {"n": n + 1}}})

    return loss


def test_a_lazy_loss_keeps_its_collections_between_and_those_of_others():
    """Breaks if a running value jumps back where a penalty is not due, or if the penalty undoes what the loss before it
    has updated, such as the power iteration of a critic that both call."""
    params = {"a": {"params": {}, "state": {"n": jnp.int32(0)}}, "b": {"params": {}, "state": {"n": jnp.int32(0)}}}
    both = jax.jit(add(counting("a"), every(3, add(counting("a"), counting("b")))))
    seen = []
    for step in range(6):
        _, aux = both(params, {**BATCH, "step": jnp.int32(step)}, KEYS)
        params = {name: {**params[name], **new} for name, new in aux.updates.items()}
        seen.append([int(params[name]["state"]["n"]) for name in "ab"])
    assert seen == [[1, 0], [2, 0], [4, 1], [5, 1], [6, 1], [8, 2]]


def test_updates_of_one_loss_are_no_path_for_the_gradient_of_the_next():
    """Breaks if batch statistics that one loss has moved make the next one train through them."""

    def first(params, batch, keys):
        return 0 * batch["x"], Aux(updates={"net": {"state": params["net"]["params"] * 2}})

    def second(params, batch, keys):
        return params["net"]["state"] * batch["x"] + params["net"]["params"], Aux()

    def total(w):
        return add(first, second)({"net": {"params": w, "state": jnp.zeros(())}}, BATCH, KEYS)[0].sum()

    value, slope = jax.value_and_grad(total)(jnp.float32(3.0))
    np.testing.assert_allclose([value, slope], [6.0 * BATCH["x"].sum() + 3 * B, B], rtol=1e-6)


def test_metrics_of_what_is_rarely_computed_say_so():
    """Breaks if a log shows the zeros between two computations, or if nested periods are mixed up."""
    _, aux = at(add(square, every(4, named("rare", every(6, named("rarer", linear))))))
    assert not isinstance(aux.metrics["x"], Periodic)
    assert aux.metrics["rare"].every == 4 and aux.metrics["rarer"].every == aux.metrics["y"].every == 12


def test_updates_of_what_is_not_there_are_named():
    """A misspelled collection would else be carried along beside the one that is used."""
    params = {"net": {"params": {}, "state": {"n": jnp.zeros(())}}}
    with pytest.raises(ValueError, match=r"net/stats with arrays .* init_params makes none"):
        fitted({"net": {"stats": {"n": jnp.zeros(())}}}, params)
    with pytest.raises(ValueError, match=r"net/state .*\(2,\).*\(\)"):
        fitted({"net": {"state": {"n": jnp.zeros(2)}}}, params)


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
