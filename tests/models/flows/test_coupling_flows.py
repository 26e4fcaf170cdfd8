"""Normalizing flows of couplings: what they compute, at what size, and what they measure first."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxgen import gaussian
from jaxgen.bijectors import chain, coupling, features, sigmoid_affine
from jaxgen.models.flows.batch_norm import BatchNormBijector
from jaxgen.models.flows.flowpp import FlowPP, FlowPPDequantizer
from jaxgen.models.flows.glow import Glow
from jaxgen.models.flows.nice import NICE
from jaxgen.models.flows.nsf import NSF
from jaxgen.models.flows.realnvp import RealNVP
from jaxgen.models.flows.resnet import group_norm
from jaxgen.models.flows.step import ActNorm
from jaxgen.models.flows.tabular import TabularFlow
from jaxgen.models.flows.tarflow import TarFlow
from jaxgen.models.flows.transforms import spline

SHAPE = (4, 4, 2)
X = jax.random.normal(jax.random.key(1), (12, *SHAPE))
CLASSES = jnp.arange(12) % 3
TINY = {
    "nice": NICE(shape=SHAPE, num_classes=3, couplings=2, layers=1, width=8),
    "realnvp": RealNVP(shape=SHAPE, num_classes=3, width=4, blocks=1, dropout=0.3),
    "glow": Glow(shape=SHAPE, num_classes=3, scales=2, steps=1, width=8, dropout=0.3),
    "nsf": NSF(shape=SHAPE, num_classes=3, scales=1, steps=2, width=8, blocks=1, normalization=group_norm),
    "tabular": TabularFlow(shape=SHAPE, num_classes=3, steps=2, width=8, blocks=1, dropout=0.3),
    "tabular_spline": TabularFlow(shape=(5,), steps=2, width=8, blocks=1, transform=spline(4, 2.0)),
}


def moved(variables, size=0.05):
    """The same with parameters off their first values, which make many a layer trivial."""
    flat, back = ravel_pytree(variables["params"])
    return {**variables, "params": back(flat + size * jax.random.normal(jax.random.key(2), flat.shape))}


@pytest.mark.parametrize("name", TINY)
def test_density_and_inverse_are_those_of_the_map(name, jit):
    """Breaks if a log-determinant is not that of the Jacobian, the inverse is another map, dropout stays on in
    evaluation, or the class is not told: likelihoods and samples would be of different models."""
    flow = TINY[name]
    x, cond = (X, CLASSES) if flow.num_classes else (X[:, 0, 0, :1] * jnp.arange(1.0, 6), None)
    variables = moved(jit(flow.init)(jax.random.key(0), x, cond))

    @jit
    def both(x, cond):
        z, log_det = flow.apply(variables, x, cond)
        one = jax.jacfwd(lambda one: flow.apply(variables, one[None], None if cond is None else cond[:1])[0][0])
        back, other = flow.apply(variables, z, cond, method="inverse_and_log_det")
        return z, log_det, back, other, one(x[0])

    z, log_det, back, other, jacobian = both(x, cond)
    size = math.prod(flow.shape)
    assert z.shape == (12, size)
    np.testing.assert_allclose(log_det[0], np.linalg.slogdet(jacobian.reshape(size, size))[1], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(other, -log_det, rtol=1e-4, atol=1e-3)
    if cond is not None:
        assert np.abs(z - both(x, (cond + 1) % 3)[0]).max(1).min() > 1e-4
        with pytest.raises(ValueError, match="was given no class"):
            flow.apply(variables, x)


def test_published_realnvp(golden, jit, x64):
    """Breaks if couplings composed by hand are not the flow of nflows: its density is that of checkpoints."""
    g = golden("families/flow_simple_realnvp")

    def network(prefix):
        def dense(name, h):
            return h @ g[f"{prefix}.{name}.weight"].T + g[f"{prefix}.{name}.bias"]

        def conditioner(kept):
            h = dense("initial_layer", kept)
            u = dense("blocks.0.linear_layers.0", jax.nn.relu(h))
            h = h + dense("blocks.0.linear_layers.1", jax.nn.relu(u))
            return jnp.split(dense("final_layer", h), 2, axis=-1)

        return conditioner

    couplings = []
    for i in range(3):
        prefix = f"param/_transform._transforms.{i}"
        kept = np.isin(np.arange(4), g[f"{prefix}.identity_features"])
        couplings.append(coupling(features(kept), network(f"{prefix}.transform_net"), lambda p: sigmoid_affine(*p)))
    z, log_det = jit(chain(*couplings).forward_and_log_det)(g["x"])
    np.testing.assert_allclose(z, g["z"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_det, g["logdet"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gaussian.log_prob(z).sum(1) + log_det, g["log_prob"], rtol=1e-9)


@pytest.mark.parametrize(
    ("networks", "millions"),
    [
        ([Glow(shape=(32, 32, 3))], pytest.approx(44.1, abs=0.06)),
        ([NSF(shape=(32, 32, 3))], pytest.approx(11.8, abs=0.06)),
        ([FlowPP(shape=(32, 32, 3)), FlowPPDequantizer(shape=(32, 32, 3))], 31.44344),
    ],
    ids=["glow", "nsf", "flowpp"],
)
def test_sizes_are_the_published_ones(networks, millions):
    """44 M parameters of Glow, 11.8 M of a neural spline flow and the 31,443,440 of Flow++ and its dequantizer on
    CIFAR-10: another count is another architecture. Of the triangles of a linear map only what is read counts."""
    images = jnp.zeros((2, 32, 32, 3))
    inputs = [(images,), (images, images)]  # a dequantizer takes noise as well
    shapes = [
        jax.eval_shape(net.init, jax.random.key(0), *x)["params"] for net, x in zip(networks, inputs, strict=False)
    ]
    count = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        triangle = path[-1].key in ("lower", "upper")
        count += math.prod(leaf.shape[:-2]) * math.comb(leaf.shape[-1], 2) if triangle else leaf.size
    assert count / 1e6 == millions


def test_odd_sizes_are_refused():
    """Images that a squeeze does not divide end in one sentence, not in a reshape error."""
    flow = Glow(shape=(6, 6, 1), scales=2, steps=1, width=4)
    with pytest.raises(ValueError, match="a squeeze by 2 needs a height and a width that 2 divides, got 3x3"):
        jax.eval_shape(flow.init, jax.random.key(0), jnp.zeros((2, 6, 6, 1)))


@pytest.mark.parametrize(
    ("flow", "shape", "message"),
    [
        (Glow, (5,), "Glow is a flow of images [H, W, C], got data of shape [5]: take model=tabular_flow"),
        (RealNVP, (5,), "RealNVP is a flow of images [H, W, C], got data of shape [5]"),
        (NSF, (5,), "NSF is a flow of images [H, W, C], got data of shape [5]"),
        (NICE, (1,), "a split keeps at least one element and moves at least one, got 1 of 1 to keep"),
        (TabularFlow, (1,), "a split keeps at least one element and moves at least one, got 0 of 1 to keep"),
        (TarFlow, (6, 5, 1), "a squeeze by 2 needs a height and a width that 2 divides, got 6x5"),
    ],
)
def test_data_that_do_not_fit_are_refused(flow, shape, message):
    """Vectors given to a flow of images, or one element to couplings, end in one sentence."""
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.eval_shape(flow(shape=shape).init, jax.random.key(0), jnp.zeros((2, *shape)))


def test_activations_are_normalized_by_the_first_batch():
    """Breaks if the first batch is not measured, or a later one is: the first steps of a deep flow would explode, and
    the density of an image depend on its neighbours."""
    layer, x = ActNorm(2), 3 * X + 1
    variables = layer.init(jax.random.key(0), x)
    z = layer.apply(variables, x)
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(z.std((0, 1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(layer.apply(variables, x[:1] - 2), z[:1] - 2 * z.std() / x.std(), atol=0.1)
    np.testing.assert_array_equal(layer.apply(variables, x)[:1], layer.apply(variables, x[:1]))


def test_batch_normalization_follows_the_batches():
    """Running moments begin at the first batch and move by a tenth of the next; the inverse is that of evaluation."""

    def run(variables, x, train=False):
        return layer.apply(variables, x, train, mutable=["batch_stats"])

    class Forward(BatchNormBijector):
        def __call__(self, x, train=False):
            return self.bijector(train).forward_and_log_det(x)

        def back(self, z):
            return self.bijector().inverse(z)

    layer, x = Forward(2), 3 * X + 1
    variables = layer.init(jax.random.key(0), x)
    np.testing.assert_allclose(variables["batch_stats"]["mean"], x.mean((0, 1, 2)), rtol=1e-5)
    (z, log_det), after = run(variables, x + 5, train=True)
    np.testing.assert_allclose(after["batch_stats"]["mean"], x.mean((0, 1, 2)) + 0.5, rtol=1e-5)
    np.testing.assert_allclose(log_det, -8 * np.log(after["batch_stats"]["var"] + 1e-5).sum(), rtol=1e-5)
    (same, _), unchanged = run(after, x + 5)
    np.testing.assert_allclose(same, z, atol=1e-5)
    np.testing.assert_array_equal(unchanged["batch_stats"]["mean"], after["batch_stats"]["mean"])
    np.testing.assert_allclose(layer.apply(after, z, method="back"), x + 5, atol=1e-4)
