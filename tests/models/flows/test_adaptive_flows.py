"""Flows whose inverse or determinant takes an iteration: planar, residual, FFJORD, Flow++ with its dequantizer."""

import dataclasses
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.bijectors.bijector import chain, invert
from jaxgen.bijectors.continuous import continuous
from jaxgen.bijectors.split import channels, factor_out, flatten
from jaxgen.likelihood import Divergence
from jaxgen.models.flows import residual
from jaxgen.models.flows.ffjord import FFJORD, MultiscaleFFJORD, Velocity, recomputed
from jaxgen.models.flows.flowpp import FlowPP, FlowPPDequantizer, parts
from jaxgen.models.flows.planar import PlanarFlow
from jaxgen.models.flows.residual import ResidualFlow
from jaxgen.models.layers.lipschitz import Lipschitz

IMAGE = {"shape": (4, 4, 1), "num_classes": 2}
SMALL = {"width": 4, "blocks": 0, "heads": 2, "components": 2}
NETWORKS = {
    "planar": PlanarFlow(**IMAGE, layers=4),
    "residual": ResidualFlow(**IMAGE, scales=2, blocks=1, width=6, dense_blocks=1, dense_width=6),
    "ffjord": FFJORD(**IMAGE, widths=(8,), flows=1, rtol=1e-6, atol=1e-6),
    "multiscale_ffjord": MultiscaleFFJORD(**IMAGE, widths=(4,), flows=1, least=2, rtol=1e-5, atol=1e-5),
    "flowpp": FlowPP(**IMAGE, **SMALL, numbers=(1, 1, 2)),
}


def moved(variables, key):
    """The variables away from where training starts; what is constant or found by iteration stays."""
    leaves, tree = jax.tree.flatten(variables["params"])
    keys = jax.random.split(key, len(leaves))
    leaves = [leaf + 0.1 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    return {**variables, "params": jax.tree.unflatten(tree, leaves)}


@pytest.mark.parametrize("name", NETWORKS)
def test_inverse_and_determinant(jit, name):
    """If it fails, samples are not the images of their latent variables to 1e-4 in float32, or the log-determinant is
    not that of the matrix of differences of the whole flow."""
    flow = NETWORKS[name]
    x, cond = jax.random.normal(jax.random.key(0), (4, 4, 1)), jnp.ones((33,), int)

    def passes(key, x):
        variables = moved(flow.init(key, first(33), cond), key)
        z, log_det = flow.apply(variables, x, cond)
        return z, log_det, flow.apply(variables, z[:1], cond[:1], method="inverse")

    z, log_det, back = jit(passes)(jax.random.key(1), around(x))
    np.testing.assert_allclose(back[0], x, atol=1e-4)
    np.testing.assert_allclose(determinant(z), log_det[0], atol=2e-2)


STEP = 0.01


def first(number):
    """A batch to measure, in which all pixels vary."""
    return jax.random.normal(jax.random.key(5), (number, 4, 4, 1))


def around(x):
    """x, and x with every pixel a step higher and lower, [33, *shape] of 16 pixels."""
    steps = STEP * jnp.eye(16).reshape(16, *x.shape)
    return jnp.concatenate([x[None], x + steps, x - steps])


def determinant(z):
    """log |det dz/dx| at the first of `around`(x), by differences."""
    z = np.asarray(z, float).reshape(33, 16)
    return np.linalg.slogdet((z[1:17] - z[17:]) / (2 * STEP))[1]


def test_the_checkerboard_is_split_and_joined():
    """If it fails, a coupling of Flow++ moves what it also sees."""
    x = jnp.arange(48.0).reshape(1, 4, 6, 2)
    kept, moved = parts().part(x)
    rows, columns = np.indices((4, 6))
    np.testing.assert_array_equal(kept.ravel(), x[0, (rows + columns) % 2 == 0].ravel())
    np.testing.assert_array_equal(moved.ravel(), x[0, (rows + columns) % 2 == 1].ravel())
    np.testing.assert_array_equal(parts().join(kept, moved), x)


def test_learned_noise_is_a_density_of_the_bin(jit):
    """If it fails, the dequantizer's noise leaves (0, 1), does not see the pixels, or its log-determinant is wrong:
    then its bound is none."""
    net = FlowPPDequantizer(shape=(4, 4, 1), num_classes=2, features=4, number=1, **SMALL | {"blocks": 1})
    x, noise = jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    x, eps, cond = jnp.stack([x] * 33 + [x + 1]), jnp.concatenate([around(noise), noise[None]]), jnp.ones((34,), int)

    def passes(key):
        variables = moved(net.init(key, *jnp.split(first(68), 2), cond), key)
        return net.apply(variables, x, eps, cond)

    u, log_det = jit(passes)(jax.random.key(1))
    assert u.shape == x.shape and (u > 0).all() and (u < 1).all() and np.abs(u[33] - u[0]).max() > 1e-3
    np.testing.assert_allclose(determinant(u[:33]), log_det[0], atol=2e-2)


def test_a_continuous_flow_is_undone_at_the_tolerances_it_has(jit):
    """If it fails, FFJORD of the size of the digits' and with larger weights does not keep inverse(forward(x)) within
    1e-4 at what the class starts from, or at the coarse tolerances of training; or training does not take these."""
    flow = FFJORD(shape=(64,), widths=(128, 128), rtol=1e-2, atol=1e-2)
    x, keys = jax.random.normal(jax.random.key(1), (16, 64)), jax.random.split(jax.random.key(2), 16)

    @jit
    def passes(key):
        variables = jax.tree.map(lambda leaf: 2 * leaf, flow.init(key, x))
        z = flow.apply(variables, x, method="forward")
        return z, flow.apply(variables, z, method="inverse"), flow.apply(variables, x, None, keys, train=True)[0]

    z, back, trained = passes(jax.random.key(0))
    assert np.abs(z - x).mean() > 1
    np.testing.assert_allclose(back, x, atol=1e-4)
    assert 1e-4 < np.abs(trained - z).max() < 0.3


@pytest.mark.parametrize("size", [0, 3])
def test_layers_are_contractions(jit, size):
    """If it fails, a residual block is not invertible: the largest singular value of a layer, as a matrix of all
    pixels, exceeds its bound a few steps after its kernel has moved; or it is far below, which costs what the block can
    do."""
    shape = (4, 4, 2) if size else (6,)
    layer = Lipschitz(shape, 5, size, bound=0.9)
    variables = layer.init(jax.random.key(0), method="map")
    variables = moved(
        {**variables, "params": jax.tree.map(lambda leaf: 3 * leaf, variables["params"])}, jax.random.key(1)
    )

    def iterate(_, spectral):
        train = {**variables, "spectral": spectral}
        return layer.apply(train, method=lambda layer: layer.map(True)(x), mutable=["spectral"])[1]["spectral"]

    x = jnp.zeros((1, *shape))
    variables["spectral"] = jax.lax.fori_loop(0, 20, iterate, variables["spectral"])

    def matrix(flat):
        f = layer.apply(variables, method="map")
        return f(flat.reshape(1, *shape)).ravel()

    norm = np.linalg.svd(jit(jax.jacobian(matrix))(jnp.zeros(np.prod(shape))), compute_uv=False)[0]
    np.testing.assert_allclose(norm, 0.9, rtol=2e-3)


def test_the_power_iteration_moves_in_training_only():
    """If it fails, the norms of a residual flow are those of kernels that it has long left, or evaluation changes
    them."""
    layer = Lipschitz((6,), 5, 0, bound=0.9)
    variables = layer.init(jax.random.key(0), method="map")
    moved = variables | {"params": jax.tree.map(lambda leaf: leaf[::-1], variables["params"])}
    for train, same in ((False, True), (True, False)):
        _, new = layer.apply(
            moved, train, method=lambda layer, train: layer.map(train)(jnp.ones((1, 6))), mutable=["spectral"]
        )
        assert np.allclose(new["spectral"]["vector"], moved["spectral"]["vector"], atol=1e-4) is same


@pytest.mark.parametrize("name", ["residual", "ffjord"])
def test_keys_estimate_the_determinant(jit, name):
    """If it fails, a flow ignores its keys, or its estimate of the log-determinant is not centred on it: the mean of
    200 lies within five standard errors."""
    flow = NETWORKS[name]
    x, cond = jax.random.normal(jax.random.key(0), (2, 4, 4, 1)), jnp.asarray([0, 1])
    keys = jax.random.split(jax.random.key(2), (200, 2))

    def passes(key):
        variables = flow.init(key, x, cond)
        return flow.apply(variables, x, cond)[1], jax.lax.map(lambda k: flow.apply(variables, x, cond, k)[1], keys)

    exact, drawn = jit(passes)(jax.random.key(1))
    error = drawn.std(0) / 200**0.5
    assert (error > 1e-4).all() and (np.abs(drawn.mean(0) - exact) < 5 * error).all()


def test_recomputation_changes_no_gradient(jit):
    """If it fails, training with parallel.remat trains another residual flow."""
    plain = ResidualFlow(shape=(4,), num_classes=2, dense_blocks=1, dense_width=3)
    x, cond = jax.random.normal(jax.random.key(0), (2, 4)), jnp.arange(2)
    keys = jax.random.split(jax.random.key(2), 2)
    variables = moved(jit(plain.init)(jax.random.key(1), x, cond), jax.random.key(3))

    def gradient(flow):
        def nats(params):
            z, log_det = flow.apply({**variables, "params": params}, x, cond, keys)
            return jnp.sum(z**2) - jnp.sum(log_det)

        return jit(jax.grad(nats))(variables["params"])

    leaves = [jax.tree.leaves(gradient(dataclasses.replace(plain, remat=remat))) for remat in (False, True)]
    for got, want in zip(*leaves, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_velocities_are_recomputed(jit):
    """If it fails, FFJORD does not train with parallel.remat, or the velocity that is computed again is another."""

    class Moved(nn.Module):
        remat: bool

        def setup(self):
            self.velocity = Velocity((3,), False, 0)

        def __call__(self, x):
            return jax.vmap(recomputed(self.velocity) if self.remat else self.velocity)(x[:, None], jnp.ones((2, 1)))

    x = jax.random.normal(jax.random.key(0), (2, 4))
    variables = Velocity((3,), False, 0).init(jax.random.key(1), x, jnp.ones(2))
    variables = {"params": {"velocity": variables["params"]}}
    plain, again = (
        jit(jax.grad(lambda v, remat=remat: jnp.sum(Moved(remat).apply(v, x) ** 2)))(variables)
        for remat in (False, True)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), plain, again)

    flow, keys = FFJORD(shape=(4,), widths=(3,), remat=True), jax.random.split(jax.random.key(0), 2)
    shapes = jax.eval_shape(flow.init, jax.random.key(0), x)
    gradient = jax.eval_shape(jax.grad(lambda v: jnp.sum(flow.apply(v, x, None, keys)[1])), shapes)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, shapes)


def test_evaluation_sums_more_terms(monkeypatch):
    """If it fails, likelihoods of a residual flow are as noisy as its training."""
    found = []
    monkeypatch.setattr(residual, "russian_roulette", lambda keys, sure: found.append(sure) or (lambda g, x: x.sum(1)))
    flow, x = ResidualFlow(shape=(4,), dense_blocks=1, dense_width=3), jnp.ones((2, 4))
    variables, keys = flow.init(jax.random.key(0), x), jax.random.split(jax.random.key(1), 2)
    for train in (True, False):
        flow.apply(variables, x, None, keys, train)
    assert found == [2, 20]


@pytest.mark.parametrize(
    ("net", "inputs"),
    [
        (NETWORKS["residual"], (jnp.zeros((2, 4, 4, 1)), jnp.zeros(2, int))),
        (Velocity((3,), True, 0), (jnp.zeros((2, 4, 4, 1)), jnp.zeros(2))),
        (Velocity((3,), False, 0), (jnp.zeros((2, 4)), jnp.zeros(2))),
    ],
    ids=["residual", "image", "vector"],
)
def test_products_are_as_precise_as_their_type(net, inputs):
    """If it fails, an accelerator rounds the factors of a product inside a solver, whose tolerance is then below the
    error of the map: inverses do not undo."""
    variables = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    traced = str(jax.make_jaxpr(lambda v: net.apply(v, *inputs))(variables))
    products = re.findall(r"(?:dot_general|conv_general_dilated)\[(.*?)\n *\]", traced, re.DOTALL)
    assert products and all("HIGHEST" in product for product in products)


def test_a_value_alone_takes_no_divergence():
    """If it fails, samples of a continuous flow pay for log-determinants that nobody asked for, a derivative for every
    dimension."""

    def none(field, x, probe):
        raise AssertionError

    solution = continuous(lambda x, t, cond: -x, divergence=Divergence(lambda keys, x: x, none), rtol=1e-6, atol=1e-6)
    flow = chain(solution, factor_out(channels(1), (2,), flatten((1,))), invert(solution))
    z = jnp.asarray([[1.0, 2.0]])
    np.testing.assert_allclose(flow.inverse(z), z[:, ::-1], rtol=1e-4)
    np.testing.assert_allclose(flow.forward(z), z[:, ::-1], rtol=1e-4)
    with pytest.raises(AssertionError):
        flow.log_det(z)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (PlanarFlow(shape=(4,), dtype=jnp.bfloat16), "a planar flow has no networks: leave out parallel.dtype"),
        (PlanarFlow(shape=(4,), remat=True), "a planar flow has no networks: leave out parallel.dtype"),
        (
            FlowPP(shape=(4, 3, 1), **SMALL),
            "a checkerboard of pairs needs an even width, got 3: crop or pad the images",
        ),
        (FlowPP(shape=(4, 6, 1), **SMALL), "even width, got 3: crop or pad the images to a width that 2 divides, or 4"),
        (FlowPP(shape=(4,), **SMALL), "FlowPP is a flow of images"),
        (ResidualFlow(shape=(4,), dtype=jnp.bfloat16), "a residual flow computes in float32"),
        (MultiscaleFFJORD(shape=(4,)), "MultiscaleFFJORD is a flow of images"),
        (MultiscaleFFJORD(shape=(3, 4, 1)), "images of 3x4 pixels have no scale with sides of 4"),
    ],
)
def test_what_a_flow_cannot_do_is_said(flow, message):
    """If it fails, data or types that do not fit end in an error of shapes, or are ignored."""
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(flow.init, jax.random.key(0), jnp.zeros((2, *flow.shape)))
