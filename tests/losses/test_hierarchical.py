"""The bound of hierarchical VAEs against the published balancing of its groups."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.losses.hierarchical import balanced, hierarchical
from jaxgen.losses.likelihoods import categorical


def test_balancing_is_that_of_nvae(golden, x64):
    """If it fails, the KL terms of NVAE's groups are weighted otherwise than in its code during warm-up."""
    g = golden("families/vae_kl_terms")
    kls, resolutions = jnp.asarray(g["nvae_kl_all"]).T, [4, 4, 8, 8, 8, 8]
    np.testing.assert_allclose(0.3 * balanced(list(kls), resolutions), g["nvae_balanced_kl"], rtol=1e-9)
    slope = jax.grad(lambda kls: balanced(kls, resolutions).sum())(list(kls))
    np.testing.assert_allclose([s[0] for s in slope], g["nvae_coeffs"], rtol=1e-9)


def fixed(kls, logits):
    """A network that says this whatever it sees."""
    return lambda params, x, cond, keys, train: ((logits, kls), {"net": {"batch_stats": {}}})


def test_parts_add_up_to_the_bound(x64):
    """If it fails, the KL of a group or resolution is lost, a weight falls on the wrong term, or bits/dim is not the
    unweighted bound."""
    rng = np.random.default_rng(0)
    resolutions, likelihood = [2, 4, 4], categorical(17)
    kls = tuple(jnp.asarray(rng.exponential(size=3)) for _ in resolutions)
    logits, x = jnp.asarray(rng.normal(size=(3, 4, 4, 17))), jnp.asarray(rng.integers(0, 17, (3, 4, 4, 1)) / 8 - 1)
    loss = hierarchical(fixed(kls, logits), likelihood, resolutions, beta=lambda step: 0.1 * step, balance=5)
    keys = jax.random.split(jax.random.key(0), 3)
    late, aux = loss({}, {"x": x, "step": jnp.asarray(7)}, keys)
    early, _ = loss({}, {"x": x, "step": jnp.asarray(4)}, keys)
    nll = -likelihood.log_prob(logits, x)
    np.testing.assert_allclose(late, nll + 0.7 * sum(kls), rtol=1e-12)
    np.testing.assert_allclose(early, nll + 0.4 * balanced(kls, resolutions), rtol=1e-12)
    assert not np.allclose(balanced(kls, resolutions), sum(kls))
    np.testing.assert_allclose(aux.metrics["bits_per_dim"], (nll + sum(kls)) / (16 * np.log(2)), rtol=1e-12)
    np.testing.assert_allclose(aux.metrics["kl/4x4"], kls[1] + kls[2], rtol=1e-12)
    np.testing.assert_allclose(aux.metrics["kl/group_00"], kls[0], rtol=1e-12)
    assert aux.updates == {"net": {"batch_stats": {}}}
