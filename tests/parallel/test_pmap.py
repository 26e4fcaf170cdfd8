"""The classic mapping gives the gradients of the global program, including where examples meet."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxgen.losses.algebra import Aux, draw
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.pmap import AXIS, pmap_training, split_batch, unreplicate
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train.player import Player, training

BATCH = {"x": np.random.default_rng(0).standard_normal((32, 3)), "y": np.arange(32) % 3}


def quadratic(params, batch, keys):
    """Its gradient in w is w minus the mean of the data: any factor N shows."""
    error = params["w"] - batch["x"] + 0.1 * draw(keys, 0, lambda key: jax.random.normal(key, (3,)))
    return 0.5 * jnp.sum(error**2, axis=1), Aux({"first": batch["x"][:, 0]})


def trainer(**options):
    player = Player(("w",), quadratic, optax.sgd(1.0))
    return training(lambda key, batch: {"w": jnp.full(3, 5.0)}, [player], **options)


def test_pmap_gradients_are_those_of_jit(x64):
    """One step of rate 1 moves w by exactly its gradient: averaged over devices, not summed, and with the noise that
    each example has in the whole batch."""
    key = jax.random.key(0)
    state, step = pmap_training(trainer(axis_name=AXIS), key, BATCH)
    state, metrics = step(state, BATCH, key)
    plain = trainer()
    want, want_metrics = jax.jit(plain.step)(plain.init(key, BATCH), BATCH, key)
    np.testing.assert_allclose(unreplicate(state).params["w"], want.params["w"], rtol=1e-12)
    assert np.max(np.abs(np.asarray(want.params["w"]) - BATCH["x"].mean(0))) < 0.1
    for name, value in want_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-12)
    assert np.ptp(np.asarray(state.params["w"]), axis=0).max() == 0  # every device holds the same


def test_the_whole_state_is_compiled_once():
    """Breaks if every checkpoint and picture of a run compiles what takes the state off its devices."""
    key, before = jax.random.key(0), unreplicate._cache_size()
    state, step = pmap_training(trainer(axis_name=AXIS), key, BATCH)
    for _ in range(3):
        state, _ = step(state, BATCH, key)
        unreplicate(state)
    assert unreplicate._cache_size() <= before + 1


class Normalized(nn.Module):
    """A network with batch statistics, over all devices when given their axis."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x):
        norm = nn.BatchNorm(use_running_average=False, momentum=0.9, axis_name=self.axis_name, param_dtype=x.dtype)
        return nn.Dense(2, param_dtype=x.dtype)(jnp.tanh(norm(nn.Dense(8, param_dtype=x.dtype)(x))))


def batch_norm_training(module: Normalized, axis_name: str | None = None):
    def loss(params, batch, keys):
        y, updates = module.apply(params["net"], batch["x"], mutable=["batch_stats"])
        return jnp.sum((y - 1) ** 2, axis=1), Aux(updates={"net": updates})

    # Initialized outside the mapped axis, by the same module without it.
    def init(key, batch):
        return {"net": Normalized().init(key, batch["x"])}

    return training(init, [Player(("net",), loss, optax.sgd(0.1))], axis_name=axis_name)


@pytest.mark.parametrize("how", ["8 devices", "pmap"])
def test_batch_statistics_are_global(x64, how):
    """Statistics travel as updates, are of the whole batch, and are kept out of the optimizer, on any topology."""
    key, batch = jax.random.key(0), {"x": BATCH["x"] * [1, 5, 0.1] + 2}
    plain = batch_norm_training(Normalized())
    want = plain.init(key, batch)
    if how == "pmap":
        got, step = pmap_training(batch_norm_training(Normalized(AXIS), AXIS), key, batch)
        given = batch
    else:
        mesh = make_mesh()
        got, step = compile_training(plain, mesh, key, batch)
        given = shard_batch(mesh, batch)
    plain_step = jax.jit(plain.step)
    for _ in range(3):
        want, _ = plain_step(want, batch, key)
        got, _ = step(got, given, key)
    got = unreplicate(got) if how == "pmap" else got
    moved = np.abs(np.asarray(want.extra["net"]["batch_stats"]["BatchNorm_0"]["mean"])).max()
    assert moved > 0.1 and set(want.params["net"]) == {"params"}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        jax.device_get((got.params, got.extra)),
        jax.device_get((want.params, want.extra)),
    )


@pytest.mark.parametrize("check", [True, False])
def test_shard_map_gradients_are_those_of_jit(x64, check):
    """By its default check shard_map sums the gradients of replicated parameters, and the mean that the step takes then
    leaves them 8 times too large, without a word; without the check it does not."""
    plain, mapped = trainer(), trainer(axis_name=AXIS, max_skipped=1)
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(AxisType.Auto,))
    shares = (PartitionSpec(), PartitionSpec(AXIS), PartitionSpec())
    step = jax.shard_map(mapped.step, mesh=mesh, in_specs=shares, out_specs=PartitionSpec(), check_vma=check)
    key = jax.random.key(0)
    state = plain.init(key, BATCH)
    got, want = jax.jit(step)(state, BATCH, key), jax.jit(plain.step)(state, BATCH, key)
    np.testing.assert_allclose(got[0].params["w"], want[0].params["w"], rtol=1e-12)
    for name, value in want[1].items():
        np.testing.assert_allclose(got[1][name], value, rtol=1e-12)


def test_split_batch_needs_equal_shares():
    with pytest.raises(ValueError, match="cannot be split over 8 devices"):
        split_batch({"x": np.zeros((12, 2))}, 8)
