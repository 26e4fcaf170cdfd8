"""The very deep VAE: the published numbers, its size, and that its four walks down the ladder agree."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.losses.likelihoods import discretized_logistic_mixture
from jaxgen.models.vae.hierarchy import Normal, divergence, log_density
from jaxgen.models.vae.vdvae import VDVAE

TINY = {"shape": (8, 8, 3), "width": 8, "bottleneck": 0.5, "latent": 2}
STAGES = {"encoder": "8x1,8d2,4x1,4d4,1x1", "decoder": "1x1,4m1,4x1,8m4"}


def published(g):
    """The release's parameters under our names: NCHW to NHWC, OIHW to HWIO."""
    params = {}
    for key, value in g.items():
        if not key.startswith("param/"):
            continue
        name = key.removeprefix("param/")
        name = re.sub(r"^encoder\.|^decoder\.|^decoder\.out_net\.", "", name)
        name = re.sub(r"^out_net\.", "", name)
        name = re.sub(r"(enc_blocks|dec_blocks)\.(\d+)", r"\1_\2", name)
        if name.startswith("bias_xs"):
            params[f"start_{value.shape[2]}",] = value[0].transpose(1, 2, 0)
        elif name in ("gain", "bias"):
            params[name,] = value.reshape(-1)
        elif name.endswith("weight"):
            params[*name.split(".")[:-1], "kernel"] = value.transpose(2, 3, 1, 0)
        else:
            params[tuple(name.split("."))] = value
    return params


def test_published_bound(golden, x64):
    """If it fails, the architecture, the KL of a group or the likelihood is not that of the release."""
    g = golden("families/vae_vdvae_tiny")
    net = VDVAE(out_channels=20, **TINY, **STAGES)
    x, target = jnp.asarray(g["x"]), jnp.asarray(g["x_target"])
    params = published(g)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)["params"]
    assert {k: v.shape for k, v in flatten_dict(shapes).items()} == {k: v.shape for k, v in params.items()}
    variables = {"params": unflatten_dict(params)}
    noise = tuple(g[f"eps{i}"].transpose(0, 2, 3, 1) for i in range(4))
    parameters, groups = net.apply(variables, x, noise, method="infer")
    rate = sum(divergence(group.q, group.p) for group in groups).mean() / x[0].size
    distortion = -discretized_logistic_mixture(256, 2).log_prob(parameters, target).mean() / x[0].size
    np.testing.assert_allclose(rate, g["rate"], rtol=1e-8)
    np.testing.assert_allclose(distortion, g["distortion"], rtol=1e-8)
    np.testing.assert_allclose(rate + distortion, g["elbo"], rtol=1e-8)


def test_cifar10_has_39_million_parameters():
    """If it fails, the defaults are not the published CIFAR-10 model."""
    shapes = jax.eval_shape(VDVAE().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e6, 1) == 39.1
    assert len(VDVAE().latents) == 43


def test_starts_at_the_prior_with_unit_noise():
    """If it fails, the prior's last layer does not start at zero, which deep hierarchies need to train."""
    net = VDVAE(out_channels=20, **TINY, **STAGES)
    variables = net.init(jax.random.key(0), jnp.zeros((1, *net.shape)))
    keys = jax.random.split(jax.random.key(1), 3)
    zs = net.apply(variables, keys, method="prior")
    for z, eps in zip(zs, net.noise(keys, 3), strict=True):
        np.testing.assert_array_equal(z, eps)


@pytest.fixture(scope="module")
def trained_like():
    """A conditional network with parameters away from their start."""
    net = VDVAE(out_channels=17, **TINY | {"shape": (8, 8, 1)}, **STAGES, num_classes=3, dropout=0.5)
    x, cond = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1), minval=-1), jnp.asarray([0, 1, 2, 0])
    variables = net.init(jax.random.key(1), x, cond)
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    moved = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return net, tree.unflatten(moved), x, cond, jax.random.split(jax.random.key(3), 4)


def test_posterior_prior_and_decoder_are_one_ladder(trained_like):
    """If it fails, what is decoded is not what was inferred, samples are not of the prior that the bound is about, the
    importance weight is not that of the same z, or the temperature does not scale the noise."""
    net, variables, x, cond, keys = trained_like
    parameters, kls = net.apply(variables, x, cond, keys)
    zs = net.apply(variables, x, cond, keys, method="posterior")
    np.testing.assert_allclose(net.apply(variables, zs, cond, method="decode"), parameters, rtol=1e-4, atol=1e-5)

    _, groups = net.apply(variables, x, net.noise(keys, 4), cond, method="infer")
    np.testing.assert_allclose(kls[2], divergence(groups[2].q, groups[2].p), rtol=1e-5)
    told, ratio = net.apply(variables, x, cond, keys, method="weigh")
    np.testing.assert_allclose(told, parameters, rtol=1e-5, atol=1e-6)
    expected = sum(log_density(group.p, group.z) - log_density(group.q, group.z) for group in groups)
    np.testing.assert_allclose(ratio, expected, rtol=1e-4)

    cold = net.apply(variables, keys, cond, 0.0, method="prior")
    warm = net.apply(variables, keys, cond, 1.0, method="prior")
    seen = net.apply(variables, x, cond, keys, method="posterior")
    assert not np.allclose(cold[0], warm[0]) and not np.allclose(warm[0], seen[0])
    np.testing.assert_allclose(cold[0][0], cold[0][3], rtol=1e-5)  # of one class: without noise the same
    assert not np.allclose(cold[0][0], cold[0][1])


def test_dropout_acts_in_training_only(trained_like):
    """If it fails, a likelihood is measured with dropout, or training has none."""
    net, variables, x, cond, keys = trained_like
    first, other = (net.apply(variables, x, cond, keys, train=train)[0] for train in (False, True))
    np.testing.assert_array_equal(first, net.apply(variables, x, cond, keys)[0])
    assert not np.allclose(first, other, atol=1e-3)


def test_divergence_is_the_mean_log_ratio():
    """If it fails, the KL of the bound is not the expectation of the weights of importance sampling."""
    q, p = (
        Normal(jnp.full((1, 1, 1, 1), 0.3), jnp.full((1, 1, 1, 1), -0.4)),
        Normal(jnp.zeros((1,) * 4), jnp.ones((1,) * 4)),
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    ratios = [float(log_density(q, q.at(eps))[0] - log_density(p, q.at(eps))[0]) for eps in nodes]
    np.testing.assert_allclose(divergence(q, p)[0], np.dot(ratios, weights) / weights.sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder": "8x1,8q2"}, "expected stages"),
        ({"encoder": "4x1,4d4,1x1"}, "the encoder has a block at 4"),
        ({"decoder": "1x1,2m1,8m2"}, "the decoder has a group at 2"),
        ({"decoder": "1x1,4m1"}, "the decoder ends at 4"),
        ({"decoder": "8m4,8x1"}, "on the state of 4"),
    ],
)
def test_stages_that_do_not_fit(change, said):
    """If it fails, a plan that does not fit the images ends in an error about shapes inside the network."""
    net = VDVAE(out_channels=20, **TINY, **STAGES | change)
    with pytest.raises(ValueError, match=re.escape(said)):
        net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
