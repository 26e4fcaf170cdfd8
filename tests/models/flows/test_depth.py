"""Float32 at the published depth: every family of flows there and back, narrow and of small images."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.tree_util import tree_map_with_path

from jaxgen.models.flows.flowpp import FlowPP
from jaxgen.models.flows.glow import Glow
from jaxgen.models.flows.maf import MAF
from jaxgen.models.flows.nice import NICE
from jaxgen.models.flows.nsf import NSF
from jaxgen.models.flows.realnvp import RealNVP
from jaxgen.models.flows.residual import Residual
from jaxgen.models.flows.tabular import TabularFlow
from jaxgen.models.flows.tarflow import TarFlow
from jaxgen.models.flows.transforms import spline
from jaxgen.models.layers.conv import undivided

DEEP = {
    "nice": NICE(shape=(8, 8, 3), width=8),
    "realnvp": RealNVP(shape=(4, 4, 3), width=4, blocks=1),
    "glow": Glow(shape=(8, 8, 3), width=4),  # 96 steps
    "nsf": NSF(shape=(8, 8, 3), width=8, blocks=1),
    "maf": MAF(shape=(24,), layers=10, width=32),
    "flowpp": FlowPP(shape=(4, 4, 1), width=4, blocks=0, heads=1, components=2),
    "tarflow": TarFlow(shape=(4, 4, 1), depth=1, width=8, heads=2),
    "tabular": TabularFlow(shape=(16,), steps=10, width=8),
    "tabular_spline": TabularFlow(shape=(16,), steps=10, width=8, transform=spline(8, 3.0)),
}
NETWORKS = ("network", "conditioners")  # what is moved: what says the parameters of couplings


@pytest.mark.parametrize("name", DEEP)
def test_inverse_at_the_published_depth(name, jit):
    """Breaks if float32 errors pile up over as many couplings as are published, such as the 96 steps of Glow's three
    scales: samples would not be images of the density. All networks move by 0.01, and the first batch is no smaller
    than what it is to measure in every channel."""
    flow = DEEP[name]
    x, random = jax.random.normal(jax.random.key(1), (64, *flow.shape)), np.random.default_rng(0)

    def moved(path, leaf):
        inside = any(entry.key.startswith(NETWORKS) for entry in path)
        return leaf + 0.01 * random.normal(size=leaf.shape).astype(np.float32) if inside else leaf

    with undivided():
        variables = jit(flow.init)(jax.random.key(0), x)
        forward, inverse = (jit(partial(flow.apply, method=method)) for method in ("forward", "inverse"))
        still = forward(variables, x)
        variables["params"] = tree_map_with_path(moved, variables["params"])
        z = forward(variables, x)
        back = inverse(variables, z)
    assert np.abs(z - still).mean() > 0.005 and np.abs(z).max() < 100
    np.testing.assert_allclose(back, x, atol=1e-4)


def test_inverse_of_as_many_residual_blocks_as_published(jit):
    """Breaks if the fixed points of 52 blocks, whose kernels are at their bound, do not lead back in float32. They are
    made one by one, as a flow makes them, and then move by 0.05."""
    block, x = Residual((6,), 8, 0.98), jax.random.normal(jax.random.key(1), (64, 6))
    forward, inverse = (partial(block.apply, method=through(name)) for name in ("forward", "inverse"))

    @jit
    def passes(keys):
        _, variables = jax.lax.scan(lambda x, key: block.init_with_output(key, x, method=through("forward")), x, keys)
        flat, back = ravel_pytree(variables["params"])
        variables["params"] = back(flat + 0.05 * jax.random.normal(jax.random.key(2), flat.shape))
        z, _ = jax.lax.scan(lambda x, own: (forward(own, x), None), x, variables)
        return z, jax.lax.scan(lambda z, own: (inverse(own, z), None), z, variables, reverse=True)[0]

    z, back = passes(jax.random.split(jax.random.key(0), 52))
    assert np.abs(z - x).mean() > 0.5
    np.testing.assert_allclose(back, x, atol=1e-4)


def through(direction):
    """The method of a block that is this direction of its bijector."""
    return lambda block, x: getattr(block.bijector(None, None, False), direction)(x)
