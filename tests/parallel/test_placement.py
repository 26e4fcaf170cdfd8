"""A training placed as a configuration says: fused steps and other mappings give the numbers of the plain step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import diffusion

from jaxgen.configuration import default
from jaxgen.parallel.fused import scanned
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.placement import place
from jaxgen.parallel.pmap import AXIS
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train.optimizers import adam
from jaxgen.train.player import training

BATCHES = [{"x": np.random.default_rng(i).standard_normal((16, 2)).astype(np.float32)} for i in range(6)]


def trainer(**options):
    made = diffusion(adam(1e-2, clip=1.0), width=16)
    return training(made.init, made.players, max_skipped=2, **options)


def placed(**parallel):
    config = default().parallel
    config.update(parallel)
    options = {"accumulate": config.accumulate, "axis_name": AXIS if config.mapping == "pmap" else None}
    return place(trainer(**options), 0, BATCHES[0], config)


def run(**parallel):
    """(state, metrics after every dispatch) of six steps."""
    state, way = placed(**parallel)
    history = []
    for i in range(0, 6, way.fused):
        state, metrics = way.step(state, way.put(BATCHES[i : i + way.fused]))
        history.append(jax.device_get(metrics))
    return jax.device_get(way.whole(state)), history


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-5), a, b)


@pytest.fixture(scope="module")
def plain():
    return run()


@pytest.mark.parametrize(
    "parallel",
    [
        {"fused": 3},
        {"fused": 2, "mapping": "pmap"},
        {"fused": 2, "accumulate": 2, "fsdp": 4, "rules": (("net/1/w", 0),)},
    ],
    ids=str,
)
def test_a_dispatch_of_several_steps_is_these_steps(plain, parallel):
    """One batch a step in their order, the metrics of the last, the counts of all: a fused run is the same run."""
    (state, history), (want, steps) = run(**parallel), plain
    close(state, want)
    fused = parallel["fused"]
    close(history, steps[fused - 1 :: fused])
    assert int(state.step) == 6


@pytest.mark.parametrize("how", [{}, {"fsdp": 8}, {"fsdp": 4, "accumulate": 2}, {"mapping": "pmap"}], ids=str)
def test_one_bad_example_skips_the_step_on_every_device(how):
    """One device alone sees the number that is not finite; if the others went on, parameters would differ for good."""
    bad = {"x": BATCHES[1]["x"].copy()}
    bad["x"][5, 0] = np.inf
    state, way = placed(**how)
    state, _ = way.step(state, way.put(BATCHES[:1]))
    good = jax.device_get(state)
    state, metrics = way.step(state, way.put([bad]))
    skipped = jax.device_get(state)
    for before, after in zip(good[1:-1], skipped[1:-1], strict=True):  # all but step and skipped
        jax.tree.map(np.testing.assert_array_equal, before, after)
    assert int(metrics["skipped"]) == 1 and not np.isfinite(metrics["loss"])
    state, metrics = way.step(state, way.put(BATCHES[2:3]))
    assert [int(metrics["skipped"]), int(metrics["skipped_in_a_row"])] == [1, 0] and np.isfinite(metrics["loss"])
    moved = np.abs(jax.tree.leaves(state.params)[0] - jax.tree.leaves(good.params)[0])
    assert np.isfinite(moved).all() and moved.max() > 0


@pytest.mark.parametrize("fsdp", [1, 8])
def test_one_program_of_several_steps_is_these_steps(plain, fsdp):
    """The scan that accelerators run, which a CPU does not: on the same batches it must give the same state."""
    mesh = make_mesh(fsdp=fsdp)
    key = jax.random.key(0)
    state, step = compile_training(scanned(trainer()), mesh, key, BATCHES[0])
    for i in range(0, 6, 3):
        state, metrics = step(state, tuple(shard_batch(mesh, batch) for batch in BATCHES[i : i + 3]), key)
    close(jax.device_get(state), plain[0])
    close(jax.device_get(metrics), plain[1][-1])


def test_accelerators_get_one_program(monkeypatch):
    """On a CPU a dispatch of three is three calls of the single step; elsewhere one call of one program."""

    def loops(backend):
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        state, way = placed(fused=3)
        return str(jax.make_jaxpr(way.step)(state, way.put(BATCHES[:3]))).count("scan[")

    assert loops("cpu") == 0 and loops("tpu") == 1


@pytest.mark.parametrize(
    ("parallel", "words"),
    [
        ({"mapping": "vmap"}, "'jit' or 'pmap'"),
        ({"mapping": "pmap", "fsdp": 2}, "parallel.fsdp is 2"),
        ({"mapping": "pmap", "rules": (("w", 0),)}, "parallel.rules"),
        ({"data": 3}, "does not cover 8 devices"),
        ({"accumulate": 4}, "2 on each of 8 devices, which cannot be accumulated in 4 equal parts"),
        ({"fsdp": 8, "rules": (("(", 0),)}, "regular expression"),
    ],
    ids=str,
)
def test_what_cannot_be_placed_is_refused(parallel, words):
    """In one sentence that names the key, before a run has written anything."""
    with pytest.raises(ValueError, match=words):
        placed(**parallel)


def test_a_batch_must_cover_the_devices():
    with pytest.raises(ValueError, match="a batch of 12 cannot be spread over 8 devices"):
        place(trainer(), 0, {"x": jnp.zeros((12, 2))}, default().parallel)


@pytest.mark.parametrize("parallel", [{}, {"mapping": "pmap"}, {"fsdp": 4}], ids=str)
def test_spread_is_the_inverse_of_whole(parallel):
    """A checkpoint holds the whole state: what it gives back must train on as if it had not been saved."""
    state, way = placed(**parallel)
    state, _ = way.step(state, way.put(BATCHES[:1]))
    saved = jax.tree.map(jnp.copy, way.whole(state))
    want, _ = way.step(state, way.put(BATCHES[1:2]))
    got, _ = way.step(way.spread(saved), way.put(BATCHES[1:2]))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(got), jax.device_get(want))
