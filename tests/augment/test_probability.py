"""The probability of augmentation follows the critic, or a schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.augment.probability import adaptive, current, initial, scheduled
from jaxgen.losses.algebra import Aux
from jaxgen.losses.denoising import mean
from jaxgen.train.player import Player, training

KEYS = jax.random.split(jax.random.key(0), 20)


def judged(params, batch, keys):
    """A critic's loss whose logits are the batch, and which tells the p that it sees."""
    metrics = {"logits/real": mean(batch["x"]), "augment/used": jnp.full(keys.shape, current(params))}
    return metrics["logits/real"], Aux(metrics, {"critic": {"spectral": 1}})


def signs(rate: float) -> jax.Array:
    """20 logits whose mean sign is `rate`."""
    return jnp.where(jnp.arange(20) < round(10 * (1 + rate)), 3.0, -0.1)


def run(loss, params, logits):
    """The values of p at each step, which the loss, its metric and what comes after it must all see."""
    seen = []
    for step, x in enumerate(logits):
        _, aux = loss(params, {"x": x, "step": jnp.asarray(step)}, KEYS[: len(x)])
        assert aux.updates["critic"] == {"spectral": 1} and aux.metrics["augment/p"].shape == (len(x),)
        params = {"augment": {**params["augment"], **aux.updates["augment"]}}
        np.testing.assert_array_equal(aux.metrics["augment/p"], current(params))
        np.testing.assert_array_equal(aux.metrics["augment/used"], current(params))
        seen.append(float(current(params)))
    return seen


def test_the_controller_is_the_published_one(golden):
    """p must rise by batch * interval / images where the critic is too sure of the data, and fall where it is not. At
    the target itself it stays, which rounding decides here, so that is left out."""
    data = golden("families/gan_ada_augment")
    for rate, want in zip(data["rt"], data["p_updates"], strict=True):
        if rate == 0.6:
            continue
        start = want - 64 * 4 / 500_000 * np.sign(rate - 0.6)
        seen = run(adaptive().follow(judged, 64), {"augment": initial(start)}, [signs(rate)] * 6)
        np.testing.assert_allclose(seen, [max(start, 0)] * 4 + [want] * 2, atol=1e-7)


def test_p_stays_a_probability():
    """Below 0 augmentation would need long to come back, above 1 to go away."""
    fast = adaptive(images=100).follow(judged, 64)
    assert run(fast, {"augment": initial(0.5)}, [signs(1.0)] * 9)[-1] == 1.0
    assert run(fast, {"augment": initial(0.5)}, [signs(0.0)] * 9)[-1] == 0.0


def test_parts_of_a_batch_move_p_as_the_whole():
    """Updates are averaged over devices and micro-batches: p must come out as if one had seen the whole batch."""
    loss, step = adaptive().follow(judged, 20), {"step": jnp.asarray(8)}
    state = {"p": jnp.float32(0.3), "signs": jnp.float32(2.0), "calls": jnp.float32(4.0)}
    params = {"augment": {"params": {}, "state": state}}
    x = jax.random.normal(KEYS[0], (20,))
    whole = loss(params, {"x": x, **step}, KEYS)[1].updates["augment"]["state"]
    parts = [loss(params, {"x": x[i::2], **step}, KEYS[i::2])[1].updates["augment"]["state"] for i in (0, 1)]
    for name in whole:
        np.testing.assert_allclose(whole[name], (parts[0][name] + parts[1][name]) / 2, atol=1e-6)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_p_moves_with_the_critic(every):
    """A critic that is due at every second step is never called at the steps at which another moves p: its own moves
    must count, and after nine of them p has moved twice, whatever the steps between."""

    player = Player(("augment",), adaptive(images=1000).follow(judged, 20), optax.identity(), every=every)
    made = training(lambda key, batch: {"augment": initial(0.0)}, [player])
    batch = {"x": signs(1.0)}
    state, step, seen = made.init(KEYS[0], batch), jax.jit(made.step), []
    for _ in range(9 * every):
        state, _ = step(state, batch, KEYS[0])
        seen.append(float(state.extra["augment"]["state"]["p"]))
    np.testing.assert_allclose(seen[every - 1 :: every], [0.0] * 4 + [0.08] * 4 + [0.16], rtol=1e-6)


def test_a_schedule_is_met_at_every_step():
    """A step must see p of its own count, not of the one before."""
    probability = scheduled(lambda step: 0.1 * step + 0.05)
    seen = run(probability.follow(judged, 20), {"augment": initial(probability.start)}, [signs(0.0)] * 3)
    np.testing.assert_allclose([probability.start, *seen], [0.05, 0.05, 0.15, 0.25], rtol=1e-6)


def test_what_cannot_work_is_said_in_one_sentence():
    """The loss that is followed must report the logits, and p must have a place."""
    with pytest.raises(ValueError, match="follows the metric 'd/real', got .'augment/used', 'logits/real'."):
        adaptive(real="d/real").follow(judged, 20)({"augment": initial(0.0)}, {"x": signs(0), "step": 0}, KEYS)
    with pytest.raises(ValueError, match="params.'augment'., got only .'critic'."):
        current({"critic": {}})
