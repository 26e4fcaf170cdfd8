"""What a step does with players, gradients, collections and averages, on problems with a known answer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.losses.algebra import Aux, draw, every, named
from jaxgen.train import ema
from jaxgen.train.optimizers import adam
from jaxgen.train.player import Lazy, Player, measured, training
from jaxgen.train.state import averaged, join, split

X = np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32)
BATCH = {"x": jnp.asarray(X)}
KEY = jax.random.key(0)


def pull(name: str, scale: float = 1.0):
    """scale |w - x|^2 / 2, whose mean gradient is scale (w - mean x)."""
    return lambda params, batch, keys: (0.5 * scale * jnp.sum((params[name] - batch["x"]) ** 2, 1), Aux())


def start(*names: str):
    return lambda key, batch: {name: jnp.asarray([3.0, -2.0]) for name in names}


def one(loss, tx=None, **options):
    return training(start("w"), [Player(("w",), loss, tx or optax.sgd(0.1))], **options)


def advance(trainer, steps: int = 1, batch=BATCH):
    """(state, metrics) after `steps` steps."""
    state, metrics = trainer.init(KEY, batch), {}
    step = jax.jit(trainer.step)
    for _ in range(steps):
        state, metrics = step(state, batch, KEY)
    return state, metrics


def test_a_step_is_gradient_descent_on_the_mean():
    """The step reduces [B] once, by the mean, and reports the loss and the norm of its gradient before clipping."""
    state, metrics = advance(one(named("pull", pull("w"))))
    gradient = np.array([3.0, -2.0]) - X.mean(0)
    np.testing.assert_allclose(state.params["w"], [3.0, -2.0] - 0.1 * gradient, rtol=1e-5)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(gradient), rtol=1e-5)
    want = 0.5 * np.mean(np.sum(([3.0, -2.0] - X) ** 2, 1))
    np.testing.assert_allclose([metrics["loss"], metrics["pull"]], want, rtol=1e-5)
    assert int(state.step) == 1 and state.ema is None


@pytest.mark.parametrize(
    ("decay", "rule"),
    [
        (ema.constant(0.9), lambda n: 0.9),
        (ema.warm(0.999), lambda n: min(0.999, (1 + n) / (10 + n))),
        (ema.warm(0.25), lambda n: min(0.25, (1 + n) / (10 + n))),
        (ema.half_life(10.0), lambda n: 2 ** (-1 / min(10.0, 0.05 * n))),
    ],
    ids=["constant", "warm", "warm reached", "half_life"],
)
def test_moving_averages_follow_their_rule(decay, rule):
    """Samples are drawn from the average: it starts at the initial parameters, its decay counts this step as n >= 1."""
    trainer = one(pull("w"), ema=decay)
    state = trainer.init(KEY, BATCH)
    want, step = np.asarray(state.params["w"], np.float64), jax.jit(trainer.step)
    for n in range(1, 8):
        state, _ = step(state, BATCH, KEY)
        want = rule(n) * want + (1 - rule(n)) * np.asarray(state.params["w"], np.float64)
        np.testing.assert_allclose(state.ema["w"], want, rtol=1e-5)
    np.testing.assert_array_equal(averaged(state)["w"], state.ema["w"])


def test_half_life_halves_in_its_steps():
    """After h steps half of the start is forgotten, once the ramp is over."""
    decay = float(ema.half_life(50.0, ramp=1.0)(jnp.float32(1000)))
    np.testing.assert_allclose(decay**50, 0.5, rtol=1e-4)


def test_clipping_bounds_the_step_by_the_global_norm():
    """Gradients of one owner are clipped together; the reported norm is the one before."""
    trainer = one(pull("w", 100.0), optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0)))
    state, metrics = advance(trainer)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(state.params["w"]) - [3.0, -2.0]), 1.0, rtol=1e-5)
    assert float(metrics["grad_norm"]) > 100


def test_adam_is_the_published_recipe():
    """Warm-up starts at zero, decays by a cosine to zero, clips before Adam, and decays weights only when asked."""
    tx, gradient, w = adam(0.1, warmup=4, decay_steps=12, clip=1.0), jnp.asarray([30.0, 40.0]), jnp.asarray([1.0, 1.0])
    state, moves = tx.init(w), []
    for _ in range(13):
        updates, state = tx.update(gradient, state, w)
        moves.append(-np.asarray(updates))
    step = np.arange(13)
    rate = np.where(step < 4, 0.1 * step / 4, 0.05 * (1 + np.cos(np.pi * np.clip((step - 4) / 8, 0, 1))))
    np.testing.assert_allclose(
        moves, rate[:, None] * np.ones(2), rtol=1e-5, atol=1e-7
    )  # constant gradient: Adam's is 1
    clipped = state[1][0].mu / (1 - 0.9**13)
    np.testing.assert_allclose(clipped, [0.6, 0.8], rtol=1e-5)


@pytest.mark.parametrize("parts", [2, 4, 12])
def test_accumulation_is_the_big_batch(parts):
    """The same parameters, loss and metrics, noise included, from k smaller gradients."""

    def noisy(params, batch, keys):
        value, _ = pull("w")(params, batch, keys)
        return value * (1 + draw(keys, 3, jax.random.uniform)), Aux({"first": batch["x"][:, 0]})

    (state, metrics), (want, want_metrics) = advance(one(noisy, accumulate=parts), 3), advance(one(noisy), 3)
    np.testing.assert_allclose(state.params["w"], want.params["w"], rtol=1e-5)
    for name, value in want_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, atol=1e-6)


def test_a_loss_moves_only_the_networks_of_its_owner():
    """The generator's loss runs through the critic and must leave it alone; later players see earlier moves."""

    def product(params, batch, keys):
        return jnp.broadcast_to(jnp.sum(params["a"] * params["b"]), keys.shape), Aux()

    trainer = training(
        start("a", "b"), [Player(("a",), product, optax.sgd(0.1)), Player(("b",), product, optax.sgd(0.1))]
    )
    state, metrics = advance(trainer)
    a = np.array([3.0, -2.0]) * (1 - 0.1)
    np.testing.assert_allclose(state.params["a"], a, rtol=1e-6)
    np.testing.assert_allclose(state.params["b"], np.array([3.0, -2.0]) - 0.1 * a, rtol=1e-6)
    np.testing.assert_allclose([metrics["loss/a"], metrics["loss/b"]], [13.0, 11.7], rtol=1e-6)


def test_players_may_move_less_often():
    """Five critic steps to one of the generator: the idle player keeps its parameters and its optimizer's state, its
    loss is not computed, and no log shows the metrics that it did not measure."""
    computed = []

    def told(params, batch, keys):
        jax.debug.callback(lambda: computed.append(True))
        return named("b/pull", pull("b"))(params, batch, keys)

    trainer = training(
        start("a", "b"),
        [Player(("a",), pull("a"), optax.adam(0.1)), Player(("b",), told, optax.adam(0.1), every=3)],
    )
    state, step, moved, shown = trainer.init(KEY, BATCH), jax.jit(trainer.step), [], []
    for _ in range(7):
        new, metrics = step(state, BATCH, KEY)
        moved.append(bool(np.any(new.params["b"] != state.params["b"])))
        assert np.any(new.params["a"] != state.params["a"])
        state = new
        shown.append(set(measured(int(state.step), metrics)))
    jax.effects_barrier()
    assert moved == [False, False, True, False, False, True, False] and len(computed) == 2
    assert int(state.opt[1][0].count) == 2 and int(state.opt[0][0].count) == 7
    both = {"loss/a", "grad_norm/a", "loss/b", "grad_norm/b", "b/pull"}
    assert shown == [both if now else {"loss/a", "grad_norm/a"} for now in moved]


def test_a_lazy_loss_has_a_move_of_its_own():
    """StyleGAN2's regularization: the same optimizer moves once more, down n times the penalty, after the loss and from
    where that has left the parameters."""
    tx, n = optax.adam(0.1, b1=0.5), 2
    lazy = Lazy(named("penalty", pull("w", 3.0)), n)
    trainer = training(start("w"), [Player(("w",), lambda p, b, k: (-p["w"][0] * b["x"][:, 0], Aux()), tx, lazy=lazy)])
    state, step = trainer.init(KEY, BATCH), jax.jit(trainer.step)
    w, opt = jnp.asarray([3.0, -2.0]), tx.init({"w": jnp.zeros(2)})
    for number in range(1, 6):
        state, metrics = step(state, BATCH, KEY)
        gradients = [lambda w: jnp.asarray([-X[:, 0].mean(), 0.0])]
        gradients += [lambda w: n * 3.0 * (w - X.mean(0))] * (number % n == 0)
        for gradient in gradients:
            updates, opt = tx.update({"w": gradient(w)}, opt)
            w = w + updates["w"]
        np.testing.assert_allclose(state.params["w"], w, rtol=1e-5)
        assert (
            ("penalty" in measured(number, metrics)) == ("loss/lazy" in measured(number, metrics)) == (number % 2 == 0)
        )
    assert int(state.opt[0][0].count) == 7


def test_a_lazy_loss_draws_its_own_noise():
    """Breaks if the two moves of a step see the same random numbers."""

    def noise(params, batch, keys):
        return draw(keys, 0, jax.random.normal) + 0 * params["w"][0], Aux()

    _, metrics = advance(training(start("w"), [Player(("w",), noise, optax.sgd(0.1), lazy=Lazy(noise, 2))]), 2)
    assert not np.isclose(metrics["loss"], metrics["loss/lazy"].value / 2)


def test_collections_of_others_stay():
    """A generator's loss runs the critic in training mode: what that would update is the critic's, and is dropped. What
    belongs to no network is one without parameters, owned by the player whose loss moves it."""

    def init(key, batch):
        made = {name: {"params": {"w": jnp.ones(2)}, "stats": {"n": jnp.int32(0)}} for name in ("a", "b")}
        return {**made, "running": {"params": {}, "state": {"n": jnp.int32(0)}}}

    def loss(params, batch, keys):
        counts = {
            name: {key: {"n": value["n"] + 1} for key, value in tree.items() if key != "params"}
            for name, tree in params.items()
        }
        return jnp.sum(params["a"]["params"]["w"] * params["b"]["params"]["w"]) + 0 * batch["x"][:, 0], Aux({}, counts)

    players = [Player(("a", "running"), loss, adam(0.1)), Player(("b",), loss, adam(0.1), every=2)]
    state, metrics = advance(training(init, players, ema=ema.constant(0.5)), 5)
    counts = {name: int(jax.tree.leaves(tree)[0]) for name, tree in state.extra.items()}
    assert counts == {"a": 5, "b": 2, "running": 5}
    assert "loss/a" in metrics and state.extra["a"]["stats"]["n"].dtype == jnp.int32


def test_a_lazy_penalty_in_the_loss_leaves_the_optimizer_alone():
    """One move a step, whose gradient holds n times the penalty where it is due: nothing of Adam is rescaled."""
    player = Player(("w",), every(3, pull("w")), optax.sgd(0.1))
    state, _ = advance(training(start("w"), [player]), 5)
    np.testing.assert_allclose(state.params["w"], [3.0, -2.0] - 0.3 * (np.array([3.0, -2.0]) - X.mean(0)), rtol=1e-5)


def test_collections_are_updated_but_not_trained():
    """A codebook or batch statistic: kept out of the optimizer and the average, replaced by what the loss returns."""

    def init(key, batch):
        return {"net": {"params": {"w": jnp.ones(2)}, "stats": {"mean": jnp.zeros(2), "count": jnp.zeros(())}}}

    def loss(params, batch, keys):
        net = params["net"]
        new = {"mean": 0.5 * net["stats"]["mean"] + 0.5 * batch["x"].mean(0), "count": net["stats"]["count"] + 1}
        value = jnp.sum((net["params"]["w"] * net["stats"]["mean"] - 1) ** 2) + 0 * batch["x"][:, 0]
        return value, Aux(updates={"net": {"stats": new}})

    trainer = training(init, [Player(("net",), loss, optax.sgd(0.1))], ema=ema.constant(0.5))
    state, _ = advance(trainer, 2)
    np.testing.assert_allclose(state.extra["net"]["stats"]["mean"], 0.75 * X.mean(0), rtol=1e-4, atol=1e-6)
    assert float(state.extra["net"]["stats"]["count"]) == 2
    assert set(state.params["net"]) == set(state.ema["net"]) == {"params"}
    assert set(averaged(state)["net"]) == {"params", "stats"}


def test_split_and_join_are_inverse():
    variables = {"a": {"params": {"w": 1}, "batch_stats": {"m": 2}}, "b": [1, 2], "c": {"params": {"v": 3}}}
    params, extra = split(variables)
    assert join(params, extra) == variables and extra == {"a": {"batch_stats": {"m": 2}}}


def test_randomness_is_of_the_step_and_the_player():
    """Fresh noise at every step and for every player from one key, the same when a state is stepped again."""

    def noise(params, batch, keys):
        value = draw(keys, 0, jax.random.normal)
        return value + 0 * params["a"][0] + 0 * params["b"][0], Aux()

    trainer = training(start("a", "b"), [Player((n,), noise, optax.sgd(0.1)) for n in ("a", "b")])
    state, step, seen = trainer.init(KEY, BATCH), jax.jit(trainer.step), []
    for _ in range(3):
        again = step(state, BATCH, KEY)[1]
        state, metrics = step(state, BATCH, KEY)
        assert {k: float(v) for k, v in again.items()} == {k: float(v) for k, v in metrics.items()}
        seen += [float(metrics["loss/a"]), float(metrics["loss/b"])]
    assert len(set(seen)) == 6


def test_mistakes_are_named():
    """Two owners, a network nobody owns or has made, a reduced loss, a batch that cannot be divided."""
    player = Player(("w",), pull("w"), optax.sgd(0.1))
    with pytest.raises(ValueError, match="one owner, but 'w' is owned twice"):
        training(start("w"), [player, player])
    with pytest.raises(ValueError, match=r"owns a tuple of names .*, got 'w'"):
        training(start("w"), [player._replace(owns="w")])
    with pytest.raises(ValueError, match="every=0"):
        training(start("w"), [player._replace(every=0)])
    with pytest.raises(ValueError, match="every=1: add it to the loss"):
        training(start("w"), [player._replace(lazy=Lazy(pull("w"), 1))])
    with pytest.raises(ValueError, match=r"makes \['idle'\], but the players own only \['w'\]"):
        training(start("w", "idle"), [player]).init(KEY, BATCH)
    with pytest.raises(ValueError, match=r"owns \['w'\], but init_params makes only \['v'\]"):
        training(start("v"), [player]).init(KEY, BATCH)
    with pytest.raises(ValueError, match=r"one number per example, \(12,\), but loss returned \(\)"):
        advance(one(lambda p, batch, keys: (jnp.mean(pull("w")(p, batch, keys)[0]), Aux())))
    with pytest.raises(ValueError, match=r"but loss returned a \w*Tracer"):
        advance(one(lambda p, batch, keys: pull("w")(p, batch, keys)[0]))
    with pytest.raises(ValueError, match="w/stats with arrays"):
        advance(one(lambda p, batch, keys: (pull("w")(p, batch, keys)[0], Aux({}, {"w": {"stats": jnp.zeros(2)}}))))
    with pytest.raises(ValueError, match="12 cannot be accumulated in 5 equal parts"):
        advance(one(pull("w"), accumulate=5))


def breaking(name: str, bad: float, at: int):
    """`pull` that is `bad` times one of its examples at step `at`."""

    def loss(params, batch, keys):
        value, aux = pull(name)(params, batch, keys)
        noise = draw(keys, 5, jax.random.uniform)
        return value * (1 + noise) * jnp.where((batch["step"] == at) & (jnp.arange(len(value)) == 3), bad, 1.0), aux

    return loss


def steep(params, batch, keys):
    """Finite everywhere, with a gradient in w that is infinite at step 1."""
    slope = jnp.where(batch["step"] == 1, jnp.inf, 1.0)

    @jax.custom_jvp
    def still(w):
        return w

    still.defjvp(lambda primals, tangents: (primals[0], slope * tangents[0]))
    return pull("w")({"w": still(params["w"])}, batch, keys)


def arrays(state):
    return jax.device_get((state.params, state.extra, state.opt, state.ema))


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    "loss", [breaking("w", np.nan, 1), breaking("w", np.inf, 1), steep], ids=["nan", "inf", "grad"]
)
def test_a_step_that_is_not_finite_changes_nothing(loss, accumulate):
    """One bad batch must not end a run of weeks: parameters, moments and average keep their bits, and the next step has
    its own key, as if there had been nothing between."""
    trainer = one(loss, adam(0.1, clip=1.0), ema=ema.constant(0.9), max_skipped=2, accumulate=accumulate)
    state, step = trainer.init(KEY, BATCH), jax.jit(trainer.step)
    good, metrics = step(state, BATCH, KEY)
    assert not np.array_equal(good.params["w"], [3.0, -2.0]) and int(metrics["skipped"]) == 0
    state, metrics = step(good, BATCH, KEY)
    same(arrays(state), arrays(good))
    assert int(state.step) == 2 and [int(metrics["skipped"]), int(metrics["skipped_in_a_row"])] == [1, 1]
    assert not (np.isfinite(metrics["loss"]) and np.isfinite(metrics["grad_norm"]))  # and it is seen
    want, _ = step(good._replace(step=jnp.int32(2)), BATCH, KEY)
    state, metrics = step(state, BATCH, KEY)
    same(arrays(state), arrays(want))
    assert not np.array_equal(state.params["w"], good.params["w"])
    assert int(state.step) == 3 and state.skipped.tolist() == [1, 0]


def test_without_a_limit_nothing_is_skipped():
    """max_skipped=0 is the plain step: what is not finite goes where it goes, and nothing is counted."""
    state, metrics = advance(one(breaking("w", np.nan, 0)))
    assert np.isnan(state.params["w"]).all() and state.skipped.tolist() == [0, 0] and "skipped" not in metrics


def test_the_state_is_latched_after_so_many_in_a_row():
    """The host looks only now and then: what it then finds must be the last good state, even if steps after the last
    skipped one were finite again; a finite step in time starts the count anew."""

    def loss(params, batch, keys):
        value, aux = pull("w")(params, batch, keys)
        return value * batch["factor"], aux

    def run(factors):
        trainer = one(loss, max_skipped=3)
        state, step, seen = trainer.init(KEY, BATCH), jax.jit(trainer.step), []
        for factor in factors:
            state, _ = step(state, {**BATCH, "factor": jnp.full(12, factor)}, KEY)
            seen.append(float(state.params["w"][0]))
        return state, seen

    nan = np.nan
    state, seen = run([1.0, nan, nan, 1.0, nan, nan, nan, 1.0, nan, 1.0])
    assert seen[0] == seen[1] == seen[2] and seen[3] != seen[0] and set(seen[3:]) == {seen[3]}
    assert int(state.step) == 10 and state.skipped.tolist() == [5, 3]


def test_all_players_are_skipped_together():
    """A generator that moves against a critic that did not would leave the two a step apart; nor may batch statistics
    of a bad step stay."""

    def counting(params, batch, keys):
        value, _ = breaking("b", np.nan, 1)({"b": params["b"]["params"]["w"]}, batch, keys)
        return value, Aux(updates={"b": {"stats": {"n": params["b"]["stats"]["n"] + 1}}})

    def init(key, batch):
        return {"a": jnp.ones(2), "b": {"params": {"w": jnp.zeros(2)}, "stats": {"n": jnp.zeros(())}}}

    players = [Player(("a",), pull("a"), optax.adam(0.1)), Player(("b",), counting, optax.adam(0.1), every=2)]
    trainer = training(init, players, ema=ema.constant(0.5), max_skipped=4)
    state, step, states = trainer.init(KEY, BATCH), jax.jit(trainer.step), []
    for _ in range(4):
        state, _ = step(state, BATCH, KEY)
        states.append(state)
    same(arrays(states[1]), arrays(states[0]))
    assert states[3].skipped.tolist() == [1, 0] and float(states[3].extra["b"]["stats"]["n"]) == 1
    assert np.any(states[2].params["a"] != states[1].params["a"])
