"""What the compiled step holds on a device: which bytes stay, which travel, and that nothing else does."""

import jax
import numpy as np
import pytest
from families import FAMILIES

from jaxgen.parallel.collectives import collectives
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.pmap import AXIS, pmap_training
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train import ema
from jaxgen.train.optimizers import adam
from jaxgen.train.player import training

BATCH = {"x": np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)}
SCALARS = 64  # bytes: losses, norms
MESHES = {"1": (1, 1), "8 data": (8, 1), "8 fsdp": (1, 8), "2x4": (2, 4)}


def made(family: str, **options):
    of = FAMILIES[family](adam(1e-2, clip=1.0), width=512)
    return training(of.init, of.players, ema=ema.warm(0.99), max_skipped=3, **options)


def compiled(how: str, family: str = "diffusion", **options):
    """(state, the program of its step, the arguments of the step)."""
    data, fsdp = MESHES[how]
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    batch, key = shard_batch(mesh, BATCH), jax.random.key(0)
    state, step = compile_training(made(family, **options), mesh, key, batch)
    return state, step.lower(state, batch, key).compile(), (batch, key)


@pytest.fixture(scope="module")
def programs():
    return {how: compiled(how) for how in MESHES}


def size(tree, sharded: bool = False) -> int:
    """Bytes of the whole arrays, or of those that are sharded."""
    return sum(x.nbytes for x in jax.tree.leaves(tree) if not (sharded and x.sharding.is_fully_replicated))


def held(tree, device) -> int:
    """Bytes on one device."""
    return sum(s.data.nbytes for x in jax.tree.leaves(tree) for s in x.addressable_shards if s.device == device)


def said(program) -> dict[str, int]:
    """Bytes by kind of collective; XLA writes a reduction into shards as an all-reduce or as a reduce-scatter."""
    sizes = {kind: found.bytes for kind, found in collectives(program.as_text()).items()}
    return sizes | {"all-reduce": sizes.get("all-reduce", 0) + sizes.pop("reduce-scatter", 0)} if sizes else {}


def test_one_device_says_nothing(programs):
    assert said(programs["1"][1]) == {}


@pytest.mark.parametrize("how", ["8 data", "8 fsdp", "2x4"])
def test_gradients_are_reduced_once_and_only_parameters_are_gathered(programs, how):
    """Else every step moves a multiple of the network, or activations, which grow with the batch, between devices.
    Sharded parameters are gathered once, and nothing but the gradients and a few sums is reduced."""
    state, program, _ = programs[how]
    found, gathered = said(program), size(state.params, sharded=True)
    assert size(state.params) < found.pop("all-reduce") <= size(state.params) + SCALARS
    assert found == ({"all-gather": gathered} if gathered else {})
    assert (gathered > 0.9 * size(state.params)) == (how != "8 data")


def test_each_player_gathers_the_networks_that_it_plays_with():
    """The critic gathers itself and the generator; the generator itself and the critic after its move, anew; a loss
    that differentiates twice must not make activations travel. On a CPU XLA reduces the gradient of each of the
    critic's four uses by itself."""
    state, program, _ = compiled("8 fsdp", "gan")
    found = said(program)
    critic, generator = (size(state.params[name], sharded=True) for name in ("critic", "generator"))
    assert found.pop("all-reduce") <= 4 * size(state.params["critic"]) + size(state.params["generator"]) + SCALARS
    assert found == {"all-gather": 2 * critic + generator}


def test_accumulation_gathers_once():
    """Four parts of a batch see one gathering of the parameters, not four."""
    state, program, _ = compiled("8 fsdp", accumulate=4)
    assert said(program)["all-gather"] == size(state.params, sharded=True)


@pytest.mark.parametrize("how", MESHES)
def test_each_device_holds_its_share(programs, how):
    """Parameters, moments and average fall to 1/N on a device; the compiled step agrees, takes nothing else but its
    batch, and writes the new state where the old one was."""
    state, program, (batch, _) = programs[how]
    shards = MESHES[how][1]
    for tree in (state.params, state.opt, state.ema):
        whole, cut = size(tree), size(tree, sharded=True)
        assert {held(tree, device) for device in batch["x"].sharding.device_set} == {whole - cut + cut // shards}
        assert shards == 1 or cut > 0.95 * whole
    here, memory = held(state, jax.devices()[0]), program.memory_analysis()
    slack = 64 * len(jax.tree.leaves(state))  # alignment
    assert here <= memory.alias_size_in_bytes <= here + slack
    share = held(batch, jax.devices()[0])
    assert here + share <= memory.argument_size_in_bytes <= here + share + slack


@pytest.mark.parametrize("how", ["1", "8 data", "2x4", "pmap"])
def test_the_state_is_donated(programs, how):
    """Else training holds two states. The new one has the sharding of the old: nothing is moved at the next step."""
    if how == "pmap":
        state, step = pmap_training(made("diffusion", axis_name=AXIS), jax.random.key(0), BATCH)
        new, _ = step(state, BATCH, jax.random.key(0))
    else:
        state, program, arguments = programs[how]
        state = jax.tree.map(lambda x: jax.device_put(x.copy(), x.sharding), state)
        new, _ = program(state, *arguments)
        jax.tree.map(lambda a, b: np.testing.assert_equal(a.sharding, b.sharding), new, state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
