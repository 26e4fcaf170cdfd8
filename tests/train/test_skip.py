"""Moves that a huge gradient does not make."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.train.optimizers import adam


def test_a_huge_gradient_has_not_been():
    """If it fails, one outlier of a deep VAE moves its parameters, its moments or its schedule, or a gradient below the
    threshold is lost."""
    tx, never = (adam(0.1, warmup=3, clip=1.0, weight_decay=0.1, skip=skip) for skip in (5.0, None))
    w = {"a": jnp.asarray([[1.0, -2.0]])}
    small = {"a": jnp.asarray([[3.0, 3.9]])}  # longer than clip, shorter than skip

    def walk(tx, gradients):
        params, state = w, tx.init(w)
        for g in gradients:
            updates, state = jax.jit(tx.update)(g, state, params)
            params = optax.apply_updates(params, updates)
        return params

    for bad in (jnp.asarray([[3.1, 4.0]]), jnp.asarray([[jnp.nan, 0.0]])):
        found = walk(tx, [small, {"a": bad}, small, {"a": bad}, small])
        np.testing.assert_allclose(found["a"], walk(never, [small] * 3)["a"], rtol=1e-6)
    assert not np.allclose(walk(never, [small] * 3)["a"], w["a"], atol=1e-3)
