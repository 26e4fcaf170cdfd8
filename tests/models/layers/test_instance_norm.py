"""InstanceNorm++ and variance normalization against the published ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.instance_norm import ConditionalInstanceNorm2dPlus, InstanceNorm2dPlus, VarianceNorm2d


def test_instance_norm_plus_is_the_published_one(golden, x64, jit):
    """Variances divided by n instead of n - 1, or another epsilon, would change NCSNv2 everywhere."""
    data = golden("layers")
    params = {name: data[f"inplus/{name}"] for name in ("alpha", "gamma", "beta")}
    y = jit(InstanceNorm2dPlus().apply)({"params": params}, jnp.asarray(data["inplus/x"]))
    np.testing.assert_allclose(y, data["inplus/out"], rtol=1e-9, atol=1e-9)


def test_conditional_instance_norm_plus_is_the_published_one(golden, x64, jit):
    """gamma, alpha and beta in another order would load the weights of NCSN into the wrong places."""
    data = golden("layers")
    params = {"Embed_0": {"embedding": data["cinplus/embed"]}}
    norm = ConditionalInstanceNorm2dPlus(len(data["cinplus/embed"]))
    y = jit(norm.apply)({"params": params}, jnp.asarray(data["cinplus/x"]), jnp.asarray(data["cinplus/y"]))
    np.testing.assert_allclose(y, data["cinplus/out"], rtol=1e-9, atol=1e-9)


def test_variance_norm_is_the_published_one(golden, x64, jit):
    """Its variance divides by n - 1, over the pixels."""
    data = golden("layers")
    y = jit(VarianceNorm2d().apply)({"params": {"alpha": data["varnorm/alpha"]}}, jnp.asarray(data["varnorm/x"]))
    np.testing.assert_allclose(y, data["varnorm/out"], rtol=1e-9, atol=1e-9)


def test_they_start_near_the_identity_of_normalization():
    """alpha and gamma start in N(1, 0.02^2), beta at zero: with others, training starts from another function."""
    x, index = jnp.ones((1, 2, 2, 512)), jnp.zeros(1, int)
    plain = InstanceNorm2dPlus().init(jax.random.key(0), x)["params"]
    told = ConditionalInstanceNorm2dPlus(3).init(jax.random.key(1), x, index)["params"]["Embed_0"]["embedding"]
    gamma, alpha, beta = jnp.split(told, 3, axis=-1)
    for gains in (plain["gamma"], plain["alpha"], gamma, alpha):
        assert abs(gains.mean() - 1) < 0.005 and 0.015 < gains.std() < 0.025
    assert not plain["beta"].any() and not beta.any()


@pytest.mark.parametrize("norm", [InstanceNorm2dPlus, VarianceNorm2d])
def test_moments_of_bfloat16_input_are_float32(norm):
    """bfloat16 sums stop growing at 256 terms: the variance of a large map would be far off."""
    h = jnp.full((1, 64, 64, 2), 3.0).at[:, :32].set(1.0).at[..., 1].add(1.0)
    params = jax.tree.map(jnp.ones_like, norm().init(jax.random.key(0), h))
    y = norm().apply(params, h.astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), norm().apply(params, h), rtol=1e-2, atol=2e-2)
