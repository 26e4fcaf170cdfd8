"""The same training, whatever it runs on: 1 or 8 devices, replicated or sharded, jit or pmap, in one batch or in four.

Run in float64, so that what remains is not the rounding of another order of summation but a real difference.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES, lazy_gan, real_nvp

from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.pmap import AXIS, pmap_training, unreplicate
from jaxgen.parallel.sharding import compile_training, shard_batch
from jaxgen.train import ema
from jaxgen.train.optimizers import adam
from jaxgen.train.player import training

STEPS, BATCH = 3, 32
BATCHES = [{"x": np.random.default_rng(i).standard_normal((BATCH, 2))} for i in range(STEPS)]
HOW = ["8 devices", "8 fsdp", "2x4 fsdp accumulate", "pmap"]
SMALL = {**FAMILIES, "real_nvp": partial(real_nvp, layers=2), "lazy_gan": lazy_gan}


def build(family: str, **options):
    made = SMALL[family](adam(1e-2, clip=1.0))
    return training(made.init, made.players, ema=ema.warm(0.99), **options)


def run(family: str, how: str):
    """(params, ema and the metrics of every step) on the host."""
    key, devices = jax.random.key(0), jax.devices()
    accumulate = 4 if "accumulate" in how else 1
    if how.startswith("pmap"):
        trainer = build(family, axis_name=AXIS, accumulate=accumulate)
        state, step = pmap_training(trainer, key, BATCHES[0])
    else:
        fsdp = 4 if "2x4" in how else 8 if "fsdp" in how else 1
        mesh = make_mesh(fsdp=fsdp, devices=devices[:1] if how in ("1 device", "accumulate") else devices)
        state, step = compile_training(build(family, accumulate=accumulate), mesh, key, BATCHES[0])
        if fsdp > 1:
            leaves = jax.tree.leaves((state.params, state.opt, state.ema))
            assert any(not leaf.sharding.is_fully_replicated for leaf in leaves)
    history = []
    for batch in BATCHES:
        state, metrics = step(state, batch if how.startswith("pmap") else shard_batch(mesh, batch), key)
        history.append(jax.device_get(metrics))
    state = unreplicate(state) if how.startswith("pmap") else state
    return jax.device_get((state.params, state.ema, history))


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        return {family: run(family, "1 device") for family in SMALL}


@pytest.mark.parametrize(
    ("family", "how"),
    [(family, how) for family in SMALL for how in HOW]
    + [("diffusion", "accumulate"), ("diffusion", "pmap accumulate"), ("lazy_gan", "pmap accumulate")],
)
def test_parameters_and_losses_do_not_depend_on_the_topology(x64, reference, family, how):
    """Gradients N times too large under pmap, noise that repeats on every device, a mean of means: all show here."""
    jax.tree.map(
        lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10),
        run(family, how),
        reference[family],
    )


@pytest.mark.parametrize("family", ["diffusion", "gan"])
def test_a_step_is_deterministic_bit_for_bit(family):
    """Float32 as trained: the same key gives the same bits, another key or another step other noise."""
    trainer = build(family)
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), BATCHES[0])
    state = jax.jit(trainer.init)(jax.random.key(0), batch)
    step = jax.jit(trainer.step)
    first, again = (jax.device_get(step(state, batch, jax.random.key(1))) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    other, _ = step(state, batch, jax.random.key(2))
    later, _ = step(state._replace(step=jnp.int32(7)), batch, jax.random.key(1))
    for different in (other, later):
        pairs = zip(jax.tree.leaves(different.params), jax.tree.leaves(first[0].params), strict=True)
        assert any(np.any(a != b) for a, b in pairs)
