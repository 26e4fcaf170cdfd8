"""The networks that configurations name train the same on any topology, in float64 and with dropout, as families in
miniature do in `test_invariance`."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.configuration import load
from jaxgen.data import Spec
from jaxgen.parallel import sharding
from jaxgen.parallel.collectives import collectives
from jaxgen.parallel.mesh import make_mesh
from jaxgen.parallel.pmap import AXIS, replicate, split_batch, unreplicate
from jaxgen.parallel.sharding import compile_step, shard_batch, state_sharding
from jaxgen.recipes import build
from jaxgen.recipes.space import Statistics

CONFIGS = Path(__file__).parent.parent / "configs"
SHAPE, BATCH = (8, 8, 1), 16
SPEC = Spec(SHAPE, 17, 10, tuple("0123456789"), 0)
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 17, (2, BATCH, *SHAPE)).astype(np.uint8), RNG.integers(0, 10, (2, BATCH))
NETWORKS = {
    "mlp": ("edm/digits_mlp.py", "width=32", "blocks=1", "dropout=0.1"),
    "unet": ("edm/digits_unet.py", "channels=8", "dropout=0.1"),
    "ncsnpp": ("ve/digits_ncsnpp_continuous.py", "channels=8", "dropout=0.1"),
    "wideresnet": ("classifier/digits.py", "depth=10", "widen=1", "dropout=0.1"),
}
HOW = {  # data, fsdp, accumulate
    "1": (1, 1, 1),
    "8 data": (8, 1, 1),
    "8 fsdp": (1, 8, 1),
    "2x4 accumulate": (2, 4, 2),
}


def batches(network: str):
    with_labels = network == "wideresnet"
    return [{"x": x, "label": y} if with_labels else {"x": x} for x, y in zip(IMAGES, LABELS, strict=True)]


def training_of(network: str, *overrides: str):
    path, *options = NETWORKS[network]
    config = load(CONFIGS / path, [*(f"model.{option}" for option in options), *overrides])
    return build(config, SPEC, Statistics(np.full(SHAPE, 0.1), 0.5)).training


def doubled(tree):
    return jax.tree.map(lambda x: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


@pytest.fixture(scope="module")
def starts(jit):
    """The initial state of every network, float64 on the host."""
    with jax.enable_x64(True):
        return {
            network: jax.device_get(doubled(jit(training_of(network).init)(jax.random.key(0), batches(network)[0])))
            for network in NETWORKS
        }


def run(jit, starts, network: str, how: str):
    """(state, the metrics of every step) on the host."""
    start, given, key, history = starts[network], batches(network), jax.random.key(0), []
    if how == "pmap":
        trainer = training_of(network, "parallel.mapping=pmap")
        step = jax.pmap(trainer.step, AXIS, in_axes=(0, 0, None))
        state, put = replicate(start), partial(split_batch, devices=8)
    else:
        data, fsdp, accumulate = HOW[how]
        mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
        step = compile_step(training_of(network, f"parallel.accumulate={accumulate}"), mesh, start)
        state = jax.device_put(start, state_sharding(mesh, start))
        put = partial(shard_batch, mesh)
        if fsdp > 1:
            assert sum(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state.params)) > 3
    step = step.lower(state, put(given[0]), key).compile(compiler_options=jit.keywords["compiler_options"])
    if how != "pmap":
        check_traffic(step.as_text(), state.params, HOW[how])
    for batch in given:
        state, metrics = step(state, put(batch), key)
        history.append(metrics)
    return jax.device_get(unreplicate((state, history)) if how == "pmap" else (state, history))


def check_traffic(text: str, params, how: tuple[int, int, int]):
    """Sharded parameters are gathered once, and gradients reduced once a part of the batch; activations never move."""
    data, fsdp, parts = how
    leaves = jax.tree.leaves(params)
    found = {kind: collective.bytes for kind, collective in collectives(text).items()}
    cut = sum(leaf.nbytes for leaf in leaves if not leaf.sharding.is_fully_replicated)
    sums = 64 + 8 * len(leaves)  # losses and norms
    assert found.pop("all-reduce", 0) <= (parts * sum(leaf.nbytes for leaf in leaves) + sums if data * fsdp > 1 else 0)
    assert found == ({"all-gather": cut} if cut else {})


@pytest.fixture(scope="module")
def reference(jit, starts):
    with jax.enable_x64(True):
        return {network: run(jit, starts, network, "1") for network in NETWORKS}


@pytest.mark.parametrize(
    ("network", "how"),
    [(network, how) for network in ("mlp", "unet", "wideresnet") for how in (*list(HOW)[1:], "pmap")]
    + [("ncsnpp", "2x4 accumulate")],
)
def test_a_network_trains_the_same_on_any_topology(x64, monkeypatch, jit, starts, reference, network, how):
    """Statistics over a part of the batch, dropout that is another on another device, a convolution whose gradient is
    gathered along the wrong dimension: each would train another model on a pod than on a desk."""
    monkeypatch.setattr(sharding, "SMALLEST_SHARDED", 64)  # else networks this small would hardly be sharded
    jax.tree.map(
        lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10),
        run(jit, starts, network, how),
        reference[network],
    )
