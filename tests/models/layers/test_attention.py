"""Attention block against the published one, and heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.attention import AttnBlockpp, attention

LEAVES = {"weight": "scale", "bias": "bias", "W": "W", "b": "b"}


@pytest.mark.parametrize("case, skip_rescale", [("attnpp", True), ("attnpp_noskip", False)])
def test_attention_is_the_published_one(case, skip_rescale, golden, x64, jit):
    """Another scale, normalization or order of q, k, v makes published weights useless; float64 keeps its digits."""
    data = golden("layers")
    params: dict[str, dict] = {}
    for name in (name for name in data if name.startswith(f"{case}/param/")):
        module, leaf = name.rsplit("/", 1)[-1].split(".")
        params.setdefault(module, {})[LEAVES[leaf]] = data[name]
    y = jit(AttnBlockpp(skip_rescale=skip_rescale).apply)({"params": params}, jnp.asarray(data[f"{case}/x"]))
    np.testing.assert_allclose(y, data[f"{case}/out"], rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_float32_attention_is_that_of_float64():
    """The two ways in which attention is formed must not drift apart."""
    q, k, v = (3 * jax.random.normal(key, (2, 5, 2, 4)) for key in jax.random.split(jax.random.key(0), 3))
    single = attention(*(a.astype(jnp.float32) for a in (q, k, v)))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, attention(q, k, v), atol=2e-6)


def test_heads_attend_separately(jit):
    """With two heads, the values of one head must not be weighted by the scores of the other."""
    x = jax.random.normal(jax.random.key(0), (1, 2, 3, 8))
    block = AttnBlockpp(heads=2, init_scale=1.0)
    params = jit(block.init)(jax.random.key(1), x)["params"]
    apply = jit(block.apply)
    changed = jax.tree.map(lambda leaf: leaf, params)
    changed["NIN_1"]["W"] = params["NIN_1"]["W"].at[:, :4].multiply(50.0)
    changed["NIN_3"]["W"] = params["NIN_3"]["W"].at[:4].set(0.0)
    blind = jax.tree.map(lambda leaf: leaf, params)
    blind["NIN_3"]["W"] = changed["NIN_3"]["W"]
    np.testing.assert_allclose(apply({"params": changed}, x), apply({"params": blind}, x), atol=1e-6)
    with pytest.raises(ValueError, match="divides the 8 channels"):
        AttnBlockpp(heads=3).init(jax.random.key(0), x)
