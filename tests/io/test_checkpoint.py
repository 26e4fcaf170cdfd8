"""Checkpoints come back as they were, onto any devices, or with one sentence that says why not."""

import gc
import json
import logging
import shutil
import sys
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from disk import flip, full_disk, largest

from jaxgen.io.checkpoint import FORMAT, abstract, checkpoints
from jaxgen.io.location import location
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import state_sharding
from jaxgen.train.best import highest, lowest
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
        extra = {"net": {"batch_stats": {"mean": jnp.ones((3,))}}}
        return State(jnp.int32(7), params, extra, opt, ema, jnp.zeros(2, jnp.int32))

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
        state = saved.restore(saved.steps()[-1], abstract(expected))
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
        assert saved.steps() == [4, 8, 9] and saved.steps()[-1] == 9
        np.testing.assert_array_equal(saved.restore(4, abstract({"w": jnp.zeros((2,), int)}))["w"], 4)


LOSSES = {1: 3.0, 2: 1.0, 3: 2.0, 4: float("nan"), 5: 4.0}


@pytest.mark.parametrize(
    ("best", "kept"),
    [(lowest(), [2, 5]), (highest(keep=2), [1, 5]), (lowest("other"), [5]), (lowest(keep=2), [2, 3, 5])],
)
def test_the_best_are_kept_and_the_newest_always(tmp_path, best, kept):
    """Breaks if the best model is gone when the run ends, or a run resumes from the best instead of the newest."""
    folder = tmp_path / "checkpoints"
    for steps in ((1, 2, 3), (4, 5)):  # what was best before the run was stopped is known after it
        with checkpoints(folder, keep=1, best=best) as saved:
            for step in steps:
                saved.save(step, {"w": jnp.full((2,), step)}, {}, {"loss": LOSSES[step]})
    with checkpoints(folder) as saved:
        assert saved.steps() == kept and saved.steps()[-1] == 5


def test_what_keeps_no_checkpoint_is_refused():
    """Breaks if train.best keeps nothing, silently."""
    with pytest.raises(ValueError, match="at least 1 checkpoint, got keep=0"):
        lowest(keep=0)


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


def empty(path):
    path.write_bytes(b"")


DAMAGES = {
    "all arrays": lambda step: shutil.rmtree(step / "state"),
    "manifest": lambda step: empty(step / "state" / "manifest.ocdbt"),
    "tree": lambda step: empty(step / "state" / "_METADATA"),
    "JSON": lambda step: empty(step / "extra" / "metadata"),
    "cut arrays": lambda step: largest(step / "state").write_bytes(largest(step / "state").read_bytes()[:1000]),
    "one bit of an array": lambda step: flip(largest(step / "state")),
    "one digit of the JSON": lambda step: next_batch(step, 8),
}


def next_batch(step, number):
    document = step / "extra" / "metadata"
    document.write_text(json.dumps(json.loads(document.read_text()) | {"batches": {"next": number}}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_said_and_the_one_before_used(folder, tmp_path, damage):
    """Breaks if damage goes unseen, ends in a traceback of the storage library, or ends a run that has another
    checkpoint."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    DAMAGES[damage](copy / "9")
    state = make_state(make_mesh())
    with checkpoints(copy) as saved, pytest.raises(ValueError, match="9 cannot be read .* remove it"):
        saved.extra(9)
        saved.restore(9, abstract(state))
    with checkpoints(copy, keep=2) as saved:
        found = saved.newest(abstract(state))
        assert found.step == 7 == saved.steps()[-1] and found.extra["batches"] == {"next": 7}
        same(found.state, state)
        (sentence,) = found.damaged
        assert "9 cannot be read (" in sentence and "goes on from step 7" in sentence and "9.damaged keeps" in sentence
        saved.save(9, state, {"batches": {"next": 9}})
    with checkpoints(copy, keep=2) as saved:
        assert saved.steps() == [7, 9] and saved.newest(abstract(state)).damaged == ()
    assert (copy / "9.damaged").is_dir()


def test_damaged_twice_is_kept_twice(folder, tmp_path):
    """Breaks if the second damage of a step writes over what is left of the first."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    target = abstract(make_state(make_mesh()))
    for _ in range(2):
        next_batch(copy / "9", 8)
        with checkpoints(copy, keep=2) as saved:
            saved.newest(target)
        shutil.copytree(folder / "9", copy / "9")
    assert {path.name for path in copy.iterdir()} == {"7", "9", "9.damaged", "9.damaged1"}


def test_none_whole_is_one_sentence_and_nothing_is_touched(folder, tmp_path):
    """Breaks if a run begins anew over checkpoints that a person could still repair."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    for step in ("7", "9"):
        next_batch(copy / step, 8)
    with checkpoints(copy, keep=2) as saved, pytest.raises(ValueError, match="no checkpoint in .* can be read, .* 7, "):
        saved.newest(abstract(make_state(make_mesh())))
    assert {path.name for path in copy.iterdir()} == {"7", "9"}


def test_a_full_disk_is_one_sentence_and_the_checkpoint_before_is_whole(folder, tmp_path, capfd):
    """Breaks if a run that cannot write ends in tracebacks, or with a broken newest checkpoint, or goes on in vain."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    state = make_state(make_mesh())
    with pytest.raises(ValueError, match=r"cannot be written in .* \(File too large\).* step 9 is whole"):
        with checkpoints(copy, keep=1) as saved, full_disk(2000):
            saved.save(10, state, {})
            while True:
                saved.check()
    assert "Traceback" not in capfd.readouterr().err
    with checkpoints(copy) as saved:
        assert saved.steps()[-1] == 9
        same(saved.restore(9, abstract(state)), state)


@pytest.mark.parametrize(
    ("name", "leaf", "there"),
    [
        ("w", jnp.zeros((32, 128)), r"float32\[64, 128\]"),
        ("w", jnp.zeros((64, 128), jnp.bfloat16), r"float32\[64, 128\]"),
        ("c", jnp.zeros(3), "nothing"),
    ],
)
def test_another_network_is_one_sentence(folder, tmp_path, name, leaf, there):
    """Breaks if weights of another shape are cut or padded to fit, or a good checkpoint is called damaged since the
    configuration is another one."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    target = abstract({"params": {"net": {"params": {name: leaf}}}})
    with checkpoints(copy, keep=2) as saved:
        for read in (partial(saved.restore, 9), saved.newest):
            said = f"9 cannot be read into this model, where params/net/params/{name} is .* there it is {there};"
            with pytest.raises(ValueError, match=said):
                read(target)
    assert {path.name for path in copy.iterdir()} == {"7", "9"}


ERRORS = {
    "permission": PermissionError(13, "Permission denied"),
    "disk": OSError(5, "Input/output error"),
    "memory": MemoryError("no room"),
    "device memory": jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes."),
    "store": ValueError('UNAVAILABLE: Error reading "d/ab": CURL error [See full TensorStore details]'),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_reached_is_left_as_it_is(folder, tmp_path, monkeypatch, name):
    """Breaks if a good checkpoint loses its name, and its steps are trained again, for a moment without network, or a
    person is told to remove it."""

    def fails(*_, **__):
        raise ERRORS[name]

    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    monkeypatch.setattr(ocp.PyTreeCheckpointHandler, "restore", fails)
    with checkpoints(copy, keep=2) as saved, pytest.raises(ValueError, match="9 cannot be reached .* stays as it is"):
        saved.newest(abstract(make_state(make_mesh())))
    assert {path.name for path in copy.iterdir()} == {"7", "9"}


def test_files_that_the_system_refuses_are_left_as_they_are(folder, tmp_path):
    """Breaks if what the storage library says of a refusal of the operating system is taken for damage."""
    copy = shutil.copytree(folder, tmp_path / "checkpoints")
    arrays = largest(copy / "9" / "state")
    arrays.unlink()
    arrays.symlink_to(arrays)  # a loop, which root may not read either
    with checkpoints(copy, keep=2) as saved, pytest.raises(ValueError, match="9 cannot be reached .*symbolic links"):
        saved.newest(abstract(make_state(make_mesh())))
    assert {path.name for path in copy.iterdir()} == {"7", "9"}


def test_a_damaged_checkpoint_in_a_bucket_is_set_aside(bucket):
    """Breaks if a run in a bucket cannot go on past a damaged checkpoint, or not save its step again: objects have no
    rename."""
    folder = location("gs://bucket/run/checkpoints")
    state = {"w": jnp.arange(4.0)}
    with checkpoints(folder, keep=3) as saved:
        for step in (1, 2):
            saved.save(step, state, {})
    files = bucket.find("/bucket/run/checkpoints/2")
    bucket.pipe_file("/bucket/run/checkpoints/2/extra/metadata", b"{")
    with checkpoints(folder, keep=3) as saved:
        found = saved.newest(abstract(state))
        assert found.step == 1 and "2.damaged keeps" in found.damaged[0]
        saved.save(2, state, {})
    with checkpoints(folder) as saved:
        assert saved.steps() == [1, 2] and saved.newest(abstract(state)).step == 2
    aside = bucket.find("/bucket/run/checkpoints/2.damaged")
    assert [path.replace("2.damaged", "2") for path in aside] == files


def test_the_logs_of_a_process_are_its_own_again(folder):
    """Breaks if whoever has read a checkpoint never again sees the warnings of other libraries."""

    def settings():
        levels = [logging.getLogger(name).level for name in ("absl", "asyncio")]
        return levels, list(warnings.filters), sys.unraisablehook

    before = settings()
    with checkpoints(folder):
        assert settings() != before
    assert settings() == before
