"""If these fail, which images come out depends on the machine that draws them, or some are lost or drawn twice."""

import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command import train
from test_two_process import two

from jaxgen import cli
from jaxgen.commands.model import generate, mesh_of, open_model
from jaxgen.configuration import default, override
from jaxgen.parallel import batched as batched_room
from jaxgen.parallel.batched import batch_of, batched, compile_batch, streamed
from jaxgen.parallel.collectives import collectives
from jaxgen.parallel.mesh import make_mesh

N = 21
X = np.arange(N, dtype=np.float32)


def first(n):
    return make_mesh(devices=jax.devices()[:n])


MESHES = {"1": partial(first, 1), "3": partial(first, 3), "8": make_mesh, "2x4": partial(make_mesh, 2, 4)}


def noisy(params, keys, x, none, label):
    return {"x": params * x + jax.vmap(jax.random.normal)(keys), "row": label}


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("batch_size", [1, 8, 16, 1000])
def test_every_row_comes_once_and_is_the_same_on_any_devices(mesh, batch_size):
    """21 rows are a multiple of no batch or mesh here. To the last bit: there is one operation a number, which no
    device can order otherwise; networks are compared below, within a rounding."""
    arrays = X, None, np.arange(N, dtype=np.int32)
    found = batched(noisy, MESHES[mesh]())(2.0, 5, arrays, N, batch_size)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(5), i))(jnp.arange(N))
    np.testing.assert_array_equal(found["x"], 2 * X + jax.vmap(jax.random.normal)(keys))
    np.testing.assert_array_equal(found["row"], np.arange(N))


def test_any_batch_can_be_drawn_alone():
    """Breaks if a run that goes on where it was killed draws other images than it would have."""
    stream, arrays = streamed(noisy), (X, None, np.arange(N, dtype=np.int32))
    size = batch_of(N, 8, make_mesh())
    every = list(stream(2.0, 5, arrays, N, 8))
    assert [len(part["x"]) for part in every] == [size, size, N - 2 * size]
    for wanted in ([2], [0, 2], [1], []):
        found = list(stream(2.0, 5, arrays, N, 8, wanted))
        for k, part in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(part["x"], every[k]["x"])


def test_rows_are_read_when_they_are_needed():
    """Breaks if a split or a list of classes has to fit in memory, or rows beyond the last are asked for."""
    asked = []

    def read(rows):
        asked.append(rows)
        return X[rows], None, rows.astype(np.int32)

    stream = streamed(noisy, first(2))(1.0, 0, read, N, 4)
    next(stream)
    assert sorted(np.concatenate(asked)) == [*range(8)]  # these, and the batch under way
    assert sum(len(part["x"]) for part in stream) == N - 4
    rows = np.concatenate(asked)
    assert set(rows) == set(range(N)) and (rows == N - 1).sum() == 4 and max(map(len, asked)) == 2


def test_a_batch_is_started_before_the_one_before_it_is_used(monkeypatch):
    """Breaks if devices are idle while images are written, or two batches are under way at once, which simulated
    devices may not survive."""
    started = []
    real = batched_room.compile_batch

    def noted(fn, mesh):
        compiled = real(fn, mesh)

        def start(*args):
            assert all(leaf.is_ready() for before in started for leaf in jax.tree.leaves(before))
            started.append(compiled(*args))
            return started[-1]

        return start

    monkeypatch.setattr(batched_room, "compile_batch", noted)
    arrays = X, None, np.arange(N, dtype=np.int32)
    ahead = []
    for part in streamed(noisy, first(2))(1.0, 0, arrays, N, 4):
        ahead.append(len(started))
        np.testing.assert_array_equal(part["row"], np.arange(N)[4 * len(ahead) - 4 : 4 * len(ahead)])
    assert ahead == [2, 3, 4, 5, 6, 6]
    assert not list(streamed(noisy, first(2))(1.0, 0, arrays, N, 4, []))


def test_a_mean_over_the_batch_is_of_its_copies_too():
    """What `streamed` says of `langevin` correctors: breaks if such results come to depend on something else."""

    def centred(params, keys, x):
        return x - x.mean()

    def run(n, mesh, batch_size=4):
        return batched(centred, mesh)(0.0, 0, (X,), n, batch_size)

    np.testing.assert_allclose(run(6, first(2))[4:], [4 - 4.75, 5 - 4.75])
    np.testing.assert_allclose(run(8, first(2))[4:6], [4 - 5.5, 5 - 5.5])
    np.testing.assert_array_equal(run(8, first(2)), run(8, first(4)))
    np.testing.assert_allclose(run(8, make_mesh()), X[:8] - 3.5)


def test_devices_share_the_work_and_only_gather_the_end():
    """Breaks if every device draws all images, or parameters in parts are gathered where they need not be."""

    def network(params, keys, x):
        return jnp.tanh(x @ params) @ params.T

    def compiled(mesh):
        arguments = np.ones((64, 64), np.float32), np.uint32(0), np.arange(16), (np.ones((16, 64), np.float32),)
        sharding = [
            jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*names)) for names in ((), (("data", "fsdp"),))
        ]
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=sharding[0]), arguments
        )
        rows = jax.tree.map(lambda leaf: leaf.update(sharding=sharding[1]), abstract[2:])
        return compile_batch(network, mesh).lower(*abstract[:2], *rows).compile()

    one, eight = compiled(first(1)), compiled(make_mesh())
    assert eight.cost_analysis()["flops"] < one.cost_analysis()["flops"] / 6
    found = collectives(eight.as_text())
    assert {kind: one.count for kind, one in found.items()} == {"all-gather": 1}
    assert found["all-gather"].bytes == 16 * 64 * 4 and not collectives(one.as_text())


@pytest.mark.parametrize(
    ("overrides", "shape"),
    [
        ([], (8, 1)),
        (["parallel.fsdp=8"], (1, 8)),
        (["parallel.fsdp=4", "parallel.data=2"], (2, 4)),
        (["parallel.fsdp=16"], (1, 8)),
        (["parallel.fsdp=12"], (2, 4)),
        (["parallel.fsdp=-1", "parallel.data=2"], (2, 4)),
        (["parallel.fsdp=-1", "parallel.data=6"], (2, 4)),
        (["parallel.fsdp=5"], (8, 1)),
    ],
)
def test_a_model_is_used_on_the_devices_that_there_are(overrides, shape):
    """Breaks if a run of 16 devices cannot be sampled from on 8 without a flag, or is held whole on each of them."""
    assert mesh_of(override(default(), overrides).parallel).devices.shape == shape


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose parameters were in eight parts."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    wide = ["--config.model.width=64", "--config.model.dropout=0.0", "--config.optimizer.learning_rate=0.1"]
    assert cli.main(train(folder, *wide, "--config.train.steps=3", "--config.parallel.fsdp=8")) == 0
    return folder


def test_a_model_in_eight_parts_draws_the_same_images_on_any_devices(run):
    """Within one level in a hundredth of the pixels: matrix products of other shapes are summed in another order, and a
    level is where a sum falls. Were the parameters, keys or rows mixed up, all would differ."""
    held, drawn = {}, {}
    for name, mesh in [("default", lambda: None), *MESHES.items()]:
        model = open_model(run, mesh=mesh())
        largest = max(jax.tree.leaves(model.params), key=lambda leaf: leaf.size)
        held[name] = largest.addressable_shards[0].data.nbytes
        drawn[name] = generate(model, 11, 3, None).astype(int)
    assert held["1"] == held["3"] == held["8"] == 4 * held["2x4"] == 8 * held["default"]
    for name, x in drawn.items():
        difference = np.abs(x - drawn["1"])
        assert x.shape == (11, 8, 8, 1) and difference.max() <= 1 and (difference > 0).mean() < 0.01, name
    assert len({x.tobytes() for x in drawn["1"]}) == 11


APART = """
import os, sys
os.chdir(f"host{sys.argv[-2][-1]}")  # --process_id
from jaxgen.cli import main
from jaxgen.parallel import multihost

multihost.check_shared.__defaults__ = (1.0,)  # seconds
sys.exit(main())
"""


def test_an_evaluation_without_a_shared_work_directory_is_refused(run, tmp_path, monkeypatch):
    """Breaks if two machines with a copy of the run each draw all samples before one finds that it sees none."""
    for i in range(2):
        shutil.copytree(run, tmp_path / f"host{i}" / "run")
    monkeypatch.chdir(tmp_path)
    words = "evaluate", "--workdir=run", "--metrics=fd", "--num=48"
    with two(tmp_path / "logs", *words, program=("-c", APART)) as processes:
        ended = [process.ended() for process in processes]
    for code, _, err in ended:
        assert code == 2 and "process 1 does not see: --workdir must be on storage" in err and "Traceback" not in err
    assert not list(tmp_path.glob("host*/run/eval/*/*"))


def test_two_processes_draw_the_images_of_one(run, tmp_path):
    """Breaks if a process draws rows of another, both write, or some rows are missing: to the last bit, as both have
    eight devices in all."""
    command = "sample", f"--workdir={run}", "--num=21", "--config.sampling.batch_size=8"
    assert cli.main([*command, f"--out={tmp_path}/one.npz"]) == 0
    with two(tmp_path / "logs", *command, f"--out={tmp_path}/two.npz") as processes:
        ended = [process.ended() for process in processes]
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert (tmp_path / "two.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "one.npz", "two.npz"]
