"""What a TPU's compiler makes of the step: needs `pip install libtpu`, and no TPU.

A CPU's compiler lacks two of its passes: it adds reduced gradients where a TPU reduces added ones, and cuts what is
reduced where a TPU reduces into shards.
"""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from families import FAMILIES
from jax.experimental import topologies

from jaxgen.parallel.collectives import collectives
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.sharding import compile_step, state_sharding
from jaxgen.train import ema
from jaxgen.train.optimizers import adam
from jaxgen.train.player import training

libtpu = pytest.importorskip("libtpu")
SCALARS = 64  # bytes: losses, norms


@pytest.fixture(scope="module")
def devices():
    alone = {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_ID": "0", "TPU_WORKER_HOSTNAMES": "localhost"}
    alone |= {
        "TPU_ACCELERATOR_TYPE": "v5litepod-8",
        "TPU_LIBRARY_PATH": str(Path(libtpu.__file__).parent / "libtpu.so"),
    }
    for name, value in alone.items():
        os.environ.setdefault(name, value)
    return topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4").devices


def compiled(devices, family: str, fsdp: int, accumulate: int):
    """(bytes of all parameters, bytes of the sharded ones, bytes by kind of collective)."""
    made, mesh = FAMILIES[family](adam(1e-2, clip=1.0), width=512), make_mesh(fsdp=fsdp, devices=devices)
    trainer = training(made.init, made.players, ema=ema.warm(0.99), accumulate=accumulate, max_skipped=3)
    key, batch = jax.eval_shape(lambda: jax.random.key(0)), {"x": jax.ShapeDtypeStruct((256, 2), jnp.float32)}
    state = jax.eval_shape(trainer.init, key, batch)
    text = compile_step(trainer, mesh, state).lower(state, batch, key).compile().as_text()
    leaves = jax.tree.leaves(jax.tree.map(lambda a, b: (4 * a.size, b), state, state_sharding(mesh, state)).params)
    sizes, shardings = leaves[::2], leaves[1::2]
    cut = sum(size for size, sharding in zip(sizes, shardings, strict=True) if not sharding.is_fully_replicated)
    return sum(sizes), cut, {kind: found.bytes for kind, found in collectives(text).items()}


@pytest.mark.parametrize(("family", "accumulate"), [("diffusion", 4), ("gan", 1), ("beta_vae", 1)])
def test_gradients_are_reduced_once(devices, family, accumulate):
    """However many parts a batch has, and however often a loss uses a network."""
    size, _, found = compiled(devices, family, 1, accumulate)
    assert size < found.pop("all-reduce") <= size + SCALARS and not found


@pytest.mark.parametrize(("family", "uses"), [("diffusion", 1), ("gan", 1.5)])
def test_sharded_gradients_are_reduced_into_shards(devices, family, uses):
    """The textbook of sharded training: parameters are gathered once a player, here in the bfloat16 of the matrix
    units, and gradients scattered, at half the traffic of an all-reduce."""
    size, cut, found = compiled(devices, family, 8, 1)
    assert found.pop("reduce-scatter") == cut and found.pop("all-gather") == uses * cut / 2
    assert size - cut < found.pop("all-reduce") <= size - cut + SCALARS and not found
