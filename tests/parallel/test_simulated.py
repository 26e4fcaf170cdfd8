"""What is predicted of a step that is only compiled is what the step does when it is run."""

import jax
import numpy as np
import pytest

from jaxgen.configuration import default, override
from jaxgen.data import Spec
from jaxgen.models.layers.conv import undivided
from jaxgen.parallel.collectives import summed
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.parallel.simulated import host_devices, simulate, useful_flops
from jaxgen.recipes import Statistics, build
from jaxgen.train.player import accumulation

SPEC = Spec((8, 8, 1), 17, None, (), 100)
SHAPE = {"x": jax.ShapeDtypeStruct((1024, *SPEC.shape), np.uint8)}


MLP = "model=mlp", "model.width=64", "model.blocks=6"
UNET = "model=unet", "model.channels=8", "model.mult=(1,)", "model.blocks=1", "model.attention=()"


def training(*overrides, model=MLP):
    config = override(default(), [*model, "optimizer.learning_rate=1e-3", *overrides])
    return build(config, SPEC, Statistics(np.zeros(SPEC.shape, np.float32), 0.5)).training


HEAVY = "parallel.remat=True", "parallel.accumulate=2", "parallel.dtype=bfloat16"


@pytest.mark.parametrize("data, fsdp, heavy", [(8, 1, False), (1, 8, False), (2, 4, True)])
def test_memory_is_that_of_the_step_that_runs(data, fsdp, heavy):
    """Breaks if a run that is said to fit does not. The state must be to the byte what its shards take on each device;
    all memory, that of the program which runs, to 10 %: the two differ in how code is made of them.
    The heavy one is a U-Net in bfloat16 that rematerializes and accumulates, run in the form that accelerators run."""
    made, mesh = training(*HEAVY, model=UNET) if heavy else training(), make_mesh(data, fsdp)
    shape = {"x": jax.ShapeDtypeStruct((512, *SPEC.shape), np.uint8)} if heavy else SHAPE
    predicted = simulate(made, mesh, shape)

    batch = shard_batch(mesh, {"x": np.zeros(shape["x"].shape, np.uint8)})
    key = jax.random.key(0)
    with undivided(), accumulation(unrolled=False):
        state, traced = compile_training(made, mesh, key, batch)
        step = traced.lower(state, batch, key).compile({"xla_disable_hlo_passes": "cse_barrier_expander"})
    memory = step.memory_analysis()
    state, _ = step(state, batch, key)
    for device in mesh.devices.flat:
        shards = [s for leaf in jax.tree.leaves(state) for s in leaf.addressable_shards if s.device == device]
        assert sum(shard.data.nbytes for shard in shards) == predicted.state
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    total += memory.temp_size_in_bytes
    assert predicted.state + predicted.beside == pytest.approx(total, rel=0.1)


def test_flops_are_shared_by_the_devices_and_rematerialization_adds_to_them():
    """Breaks if the FLOPs of a device are those of all, or of the program before it was partitioned into equal parts;
    or if a rematerialized program is compiled without what it computes again."""
    plain, again = training(), training("parallel.remat=True")
    whole, mesh = useful_flops(plain, SHAPE), make_mesh(8, 1)
    step, twice = simulate(plain, mesh, SHAPE), simulate(again, mesh, SHAPE)
    assert 8 * step.flops == pytest.approx(whole, rel=0.1)
    assert 1.15 < twice.flops / step.flops < 1.5
    assert twice.beside < step.beside
    parameters = sum(
        4 * leaf.size for leaf in jax.tree.leaves(jax.eval_shape(plain.init, jax.random.key(0), None).params)
    )
    assert parameters <= summed(step.messages)["all-reduce"].bytes < 1.02 * parameters


def test_accumulation_saves_memory_and_costs_nothing_else():
    """Breaks if a batch that is taken in parts is predicted to talk, compute or move as often as it has parts, or as
    little as one of them does, or to need the memory of the whole."""
    mesh, bytes_of = make_mesh(8, 1), {}
    whole, parts = (simulate(training(f"parallel.accumulate={k}"), mesh, SHAPE) for k in (1, 4))
    for step in (whole, parts):
        bytes_of[step.beside] = summed(step.messages)["all-reduce"].bytes
    assert parts.beside < 0.6 * whole.beside and len(set(bytes_of.values())) == 1
    assert parts.flops == pytest.approx(whole.flops, rel=0.05)
    assert parts.moved == pytest.approx(whole.moved, rel=0.3)


def test_devices_that_this_process_cannot_have_are_refused():
    """Breaks if a mesh is predicted on fewer devices than it has."""
    assert len(host_devices(8)) == 8
    with pytest.raises(ValueError, match="a mesh of 9 devices is simulated in a new process; this one has 8"):
        host_devices(9)
