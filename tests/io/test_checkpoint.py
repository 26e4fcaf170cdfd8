"""Checkpoints come back as they were, onto any devices, or with one sentence that says why not."""

import gc
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.io.checkpoint import FORMAT, abstract, checkpoints
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import state_sharding
from jaxgen.train.state import State

# The storage library leaves reads behind that it never awaited when one of several fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.collect()


def make_state(mesh):
    def init(key):
        params = {"net": {"params": {"w": jax.random.normal(key, (64, 128)), "b": jnp.zeros((3,))}}}
        opt = (optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)).init(params),)
        ema = jax.tree.map(lambda leaf: leaf + 1, params)
        return State(jnp.int32(7), params, {"net": {"batch_stats": {"mean": jnp.ones((3,))}}}, opt, ema)

    key = jax.random.key(0)
    return jax.jit(init, out_shardings=state_sharding(mesh, jax.eval_shape(init, key)))(key)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Steps 7 and 9 of a state sharded over eight devices; 5 came first and was to be dropped."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    state = make_state(make_mesh(fsdp=8))
    with checkpoints(folder, keep=2) as saved:
        for step in (5, 7, 9):
            saved.save(step, state, {"batches": {"next": step}})
    return folder


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_a_sharded_state_is_restored_on_any_number_of_devices(folder, devices):
    """Breaks if a run cannot move to a machine with another number of devices."""
    mesh = make_mesh(fsdp=devices, devices=jax.devices()[:devices])
    expected = make_state(mesh)
    with checkpoints(folder) as saved:
        state = saved.restore(saved.latest(), abstract(expected))
        assert saved.extra(9)["batches"] == {"next": 9}
    same(state, expected)
    weight = state.params["net"]["params"]["w"]
    assert weight.sharding.is_equivalent_to(expected.params["net"]["params"]["w"].sharding, 2)


def test_the_latest_are_kept(folder):
    """Breaks if the disk fills up, or if the newest checkpoint is the one that is dropped."""
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["7", "9"]


def test_multiples_are_kept_for_good(tmp_path):
    """Breaks if the checkpoint with the best FID is gone when it is known, or the others fill the disk."""
    with checkpoints(tmp_path / "checkpoints", keep=1, every=4) as saved:
        for step in (2, 4, 6, 8, 9):
            saved.save(step, {"w": jnp.full((2,), step)}, {})
    with checkpoints(tmp_path / "checkpoints") as saved:
        assert saved.steps() == [4, 8, 9] and saved.latest() == 9
        np.testing.assert_array_equal(saved.restore(4, abstract({"w": jnp.zeros((2,), int)}))["w"], 4)


def test_the_average_is_restored_alone(folder):
    """Breaks if sampling must read optimizer states, three times the bytes."""
    state = make_state(make_mesh(devices=jax.devices()[:1]))
    with checkpoints(folder) as saved:
        arrays = saved.restore(9, abstract({"ema": state.ema, "extra": state.extra}))
    same(arrays, {"ema": state.ema, "extra": state.extra})


def test_saving_does_not_see_later_steps(tmp_path):
    """Breaks if the background write reads buffers that the next, donated step has overwritten."""
    step = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf * 2, state), donate_argnums=0)
    state = {"w": jnp.arange(2.0**18)}
    expected = np.asarray(state["w"]).copy()
    with checkpoints(tmp_path / "checkpoints", keep=1) as saved:
        saved.save(1, state, {})
        for _ in range(5):
            state = step(state)
    with checkpoints(tmp_path / "checkpoints") as saved:
        np.testing.assert_array_equal(saved.restore(1, abstract(state))["w"], expected)


def test_another_format_is_one_sentence(folder, tmp_path):
    """Breaks if a checkpoint of another version is read as if it were of this one."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    document = copy / "9" / "extra" / "metadata"
    document.write_text(json.dumps(json.loads(document.read_text()) | {"format": FORMAT + 1}))
    with checkpoints(copy) as saved, pytest.raises(ValueError, match=f"format {FORMAT + 1}, but .* {FORMAT}:"):
        saved.extra(9)


@pytest.mark.parametrize("lost", ["state", "state/manifest.ocdbt", "state/_METADATA", "extra/metadata"])
def test_a_damaged_checkpoint_is_one_sentence(folder, tmp_path, lost):
    """Breaks if a truncated copy of a run ends in a traceback of the storage library."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    path = copy / "9" / lost
    shutil.rmtree(path) if path.is_dir() else path.write_bytes(b"")
    with checkpoints(copy) as saved, pytest.raises(ValueError, match="9 cannot be read .* remove it"):
        saved.extra(9)
        saved.restore(9, abstract(make_state(make_mesh())))


def test_another_network_is_one_sentence(folder):
    """Breaks if weights of another shape are cut or padded to fit."""
    target = {"params": {"net": {"params": {"w": jnp.zeros((32, 128)), "b": jnp.zeros((3,))}}}}
    with checkpoints(folder) as saved, pytest.raises(ValueError, match="cannot be read"):
        saved.restore(9, abstract(target))
