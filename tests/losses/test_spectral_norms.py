"""The penalties on kernels and scales that NVAE trains with."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.losses.spectral import batch_norm_scales, spectral_norms, unmeasured


def network(rng):
    """Two convolutions of one shape and one of another, a dense layer, and two batch normalizations."""

    def kernel(*shape):
        return {"kernel": jnp.asarray(rng.normal(size=shape))}

    cell = {
        "Conv_0": kernel(3, 3, 4, 6),
        "Conv_1": kernel(3, 3, 4, 6),
        "skip": kernel(5, 5, 1, 6),
        "Dense_0": kernel(6, 6),
        "BatchNorm_0": {"scale": jnp.asarray([0.5, -3.0]), "bias": jnp.full(2, 9.0)},
        "BatchNorm_1": {"scale": jnp.asarray([2.0, 1.0])},
    }
    return {"params": {"cells_0": cell, "gain": {"scale": jnp.asarray([7.0])}}, "batch_stats": {}}


def test_norms_are_the_largest_singular_values(x64):
    """If it fails, another number than the sum of the spectral norms is made small, its gradient is not that of the
    norms, or the power iteration does not get closer from step to step."""
    variables = network(np.random.default_rng(0))
    params, keys = {"vae": variables, "spectral": unmeasured(variables)}, jax.random.split(jax.random.key(0), 3)
    loss = jax.jit(spectral_norms("vae"))
    for _ in range(60):
        value, aux = loss(params, {}, keys)
        params |= {"spectral": {"params": {}, **aux.updates["spectral"]}}

    def exact(variables):
        cell = variables["params"]["cells_0"]
        return sum(
            jnp.linalg.svd(cell[name]["kernel"].reshape(-1, 6), compute_uv=False)[0]
            for name in ("Conv_0", "Conv_1", "skip")
        )

    np.testing.assert_allclose(value, np.full(3, exact(variables)), rtol=1e-9)
    of_loss = jax.grad(lambda v: loss({**params, "vae": v}, {}, keys)[0].mean())(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), of_loss, jax.grad(exact)(variables))


def test_scales_of_batch_normalization_only(x64):
    """If it fails, the largest scale of a normalization is not what counts, or other parameters are penalized."""
    params = {"vae": network(np.random.default_rng(0))}
    value, _ = batch_norm_scales("vae")(params, {}, jax.random.split(jax.random.key(0), 2))
    np.testing.assert_allclose(value, [5.0, 5.0])
