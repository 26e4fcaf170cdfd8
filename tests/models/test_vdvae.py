"""The very deep VAE: the published numbers, its size, and that its four walks down the ladder agree."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.nn.initializers import zeros
from networks import random_variables

from jaxgen.losses.likelihoods import discretized_logistic_mixture
from jaxgen.models.vae.hierarchy import Normal, divergence, log_density
from jaxgen.models.vae.vdvae import VDVAE, Bottleneck

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


def test_published_bound(golden, jit, x64):
    """If it fails, the architecture, the KL of a group or the likelihood is not that of the release."""
    g = golden("families/vae_vdvae_tiny")
    net = VDVAE(out_channels=20, **TINY, **STAGES)
    x, target = jnp.asarray(g["x"]), jnp.asarray(g["x_target"])
    params = published(g)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)["params"]
    assert {k: v.shape for k, v in flatten_dict(shapes).items()} == {k: v.shape for k, v in params.items()}
    variables = {"params": unflatten_dict(params)}
    noise = tuple(g[f"eps{i}"].transpose(0, 2, 3, 1) for i in range(4))
    parameters, groups = jit(partial(net.apply, method="infer"))(variables, x, noise)
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


def test_the_prior_starts_as_unit_noise():
    """If it fails, the prior's last layer does not start at zero, which deep hierarchies need to train."""
    block = Bottleneck(features=6, middle=4, last=zeros)
    x = jax.random.normal(jax.random.key(0), (2, 1, 1, 8))
    np.testing.assert_array_equal(block.init_with_output(jax.random.key(1), x)[0], 0)


@pytest.fixture(scope="module")
def ladder(jit):
    """A conditional network with parameters away from their start, and its calls."""
    stages = {"encoder": "8x1,8d2,4d4", "decoder": "1x1,4m1,8m4"}
    net = VDVAE(out_channels=17, **TINY | {"shape": (8, 8, 1)}, **stages, num_classes=3, dropout=0.5)
    x, cond = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1), minval=-1), jnp.asarray([0, 1, 2, 0])
    variables = random_variables(net, x, cond)

    def call(method, *args, **options):
        return jit(partial(net.apply, method=method, **options))(variables, *args)

    return net, x, cond, jax.random.split(jax.random.key(3), 4), call


def test_posterior_prior_and_decoder_are_one_ladder(ladder):
    """If it fails, what is decoded is not what was inferred, samples are not of the prior that the bound is about, the
    importance weight is not that of the same z, or the temperature does not scale the noise."""
    net, x, cond, keys, call = ladder
    parameters, kls = call(None, x, cond, keys)
    seen = call("posterior", x, cond, keys)
    np.testing.assert_allclose(call("decode", seen, cond), parameters, rtol=1e-4, atol=1e-5)

    _, groups = call("infer", x, net.noise(keys, 4), cond)
    np.testing.assert_allclose(kls[2], divergence(groups[2].q, groups[2].p), rtol=1e-4)
    told, ratio = call("weigh", x, cond, keys)
    np.testing.assert_allclose(told, parameters, rtol=1e-4, atol=1e-5)
    expected = sum(log_density(group.p, group.z) - log_density(group.q, group.z) for group in groups)
    np.testing.assert_allclose(ratio, expected, rtol=1e-3)

    cold, warm = (call("prior", keys, cond, temperature) for temperature in (0.0, 1.0))
    assert not np.allclose(cold[0], warm[0]) and not np.allclose(warm[0], seen[0])
    np.testing.assert_allclose(cold[0][0], cold[0][3], rtol=1e-5)  # of one class: without noise the same
    assert not np.allclose(cold[0][0], cold[0][1])


def test_dropout_acts_in_training_only(ladder):
    """If it fails, a likelihood is measured with dropout, or training has none."""
    _, x, cond, keys, call = ladder
    still, dropped = (call(None, x, cond, keys, train=train)[0] for train in (False, True))
    np.testing.assert_allclose(still, call("decode", call("posterior", x, cond, keys), cond), rtol=1e-4, atol=1e-5)
    assert not np.allclose(still, dropped, atol=1e-3)


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
