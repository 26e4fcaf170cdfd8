"""NVAE's hierarchy: its cells, its residual posterior, its batch statistics, and its walks down the ladder."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import random_variables

from jaxgen.models.bind import stateful
from jaxgen.models.vae.hierarchy import divergence
from jaxgen.models.vae.nvae import NVAE, EncoderCell, normal

TINY = {
    "shape": (8, 8, 1),
    "out_channels": 17,
    "groups": (1, 1),
    "channels": 4,
    "latent": 3,
    "cells": 1,
    "cells_per_group": 1,
}


def test_soft_clamp_bounds_the_posterior():
    """If it fails, a mean or a standard deviation of a group can leave the range in which NVAE trains."""
    wild = normal(jnp.asarray([1e4, 0.1]), jnp.asarray([-1e4, 0.0]))
    np.testing.assert_allclose(wild.mean, [5.0, 5 * np.tanh(0.02)], rtol=1e-6)
    np.testing.assert_allclose(np.exp(wild.log_std), [np.exp(-5) + 0.01, 1.01], rtol=1e-5)


def test_a_cell_is_a_small_step_from_the_identity():
    """If it fails, the residual weight of a cell is not 0.1, or a cell has no squeeze-and-excitation gate."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 4))
    cell = EncoderCell()
    variables = cell.init(jax.random.key(1), x, False)
    opened = jax.tree.map(lambda leaf: leaf, variables)
    gate = opened["params"]["SqueezeExcite_0"]["Dense_1"]
    gate["kernel"], gate["bias"] = jnp.zeros_like(gate["kernel"]), jnp.full_like(gate["bias"], 50.0)
    full = (cell.apply(opened, x, False) - x) / 0.1
    gate["bias"] = jnp.full_like(gate["bias"], 0.0)
    np.testing.assert_allclose((cell.apply(opened, x, False) - x) / 0.1, 0.5 * full, rtol=1e-3, atol=1e-5)
    layers = opened["params"]
    h = jax.nn.swish(x / np.sqrt(1 + 1e-5))
    for name in ("Conv_0", "Conv_1"):
        kernel = layers[name]["kernel"]
        h = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        h = h if name == "Conv_1" else jax.nn.swish(h / np.sqrt(1 + 1e-5))
    np.testing.assert_allclose(full, h, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def ladder(jit):
    """A network with parameters and statistics away from their start, and its calls."""
    net = NVAE(**TINY, num_classes=2)
    x, cond = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1), minval=-1), jnp.asarray([0, 1, 0, 1])
    variables = random_variables(net, x, cond)
    variables["batch_stats"] = jax.tree.map(lambda leaf: np.abs(leaf) + 0.5, variables["batch_stats"])

    def call(method, *args):
        return jit(partial(net.apply, method=method))(variables, *args)

    return net, variables, x, cond, jax.random.split(jax.random.key(2), 4), call


def test_what_is_decoded_is_what_was_inferred(ladder):
    """If it fails, posterior and decoder do not walk the same ladder, its groups are not where they say, or a class is
    not told."""
    net, variables, x, cond, keys, call = ladder
    assert net.resolutions == (2, 4)
    parameters, kls = call(None, x, cond, keys)
    zs = call("posterior", x, cond, keys)
    assert [z.shape for z in zs] == [(4, 2, 2, 3), (4, 4, 4, 3)] and len(kls) == 2
    np.testing.assert_allclose(call("decode", zs, cond), parameters, rtol=1e-3, atol=1e-4)
    assert not np.allclose(call("decode", zs, 1 - cond), parameters, atol=1e-2)


def test_posteriors_are_relative_to_the_prior(jit, ladder):
    """If it fails, q is not the residual N(m_p + m, s_p s): an encoder that says nothing would not be at the prior."""
    net, variables, x, cond, keys, _ = ladder
    silent = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.zeros_like(leaf) if "posteriors" in str(path) else leaf, variables
    )
    groups = jit(lambda: net.apply(silent, x, net.noise(keys, 4), cond, method="infer")[1])()
    for group in groups[1:]:
        np.testing.assert_allclose(divergence(group.q, group.p), 0.0, atol=1e-4)
        assert np.abs(group.p.mean).max() > 1e-3
    np.testing.assert_array_equal(groups[0].p.mean, 0)
    np.testing.assert_array_equal(groups[0].p.log_std, 0)


def test_batch_statistics_move_in_training_only(jit, ladder):
    """If it fails, an evaluation changes the model, or a normalization is left out of training."""
    net, variables, x, cond, keys, _ = ladder
    apply = jit(lambda train: stateful(net, "vae")({"vae": variables}, x, cond, keys, train=train)[1], static_argnums=0)
    jax.tree.map(np.testing.assert_array_equal, apply(False)["vae"]["batch_stats"], variables["batch_stats"])
    moved = apply(True)["vae"]["batch_stats"]
    jax.tree.map(lambda new, old: np.testing.assert_array_less(0, np.abs(new - old)), moved, variables["batch_stats"])


def test_rematerialized_has_the_same_parameters_and_values(jit, ladder):
    """If it fails, parallel.remat changes the values or parameter names of a hierarchy, or keeps all activations."""
    net, variables, x, cond, keys, call = ladder
    again = NVAE(**TINY, num_classes=2, remat=True)
    same = jit(again.apply)(variables, x, cond, keys)[0]
    np.testing.assert_allclose(same, call(None, x, cond, keys)[0], rtol=1e-3, atol=1e-4)
    slope = jax.grad(lambda variables, net: net.apply(variables, x, cond, keys)[0].sum())
    counts = [str(jax.make_jaxpr(partial(slope, net=one))(variables)).count("remat") for one in (net, again)]
    assert counts[0] == 0 < counts[1]


def test_the_ladder_of_cifar10():
    """If it fails, the default model has other groups than the published thirty at 16x16."""
    net = NVAE()
    assert net.latents == [(16, 16, 20)] * 30 and net.widths == [256]
    mnist = NVAE(shape=(32, 32, 1), groups=(5, 10), channels=32, halvings=2, cells=3, cells_per_group=1)
    assert mnist.resolutions == (4,) * 5 + (8,) * 10 and mnist.widths == [256, 128]
    shapes = jax.eval_shape(mnist.init, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    assert shapes["params"]["start"].shape == (4, 4, 256)
