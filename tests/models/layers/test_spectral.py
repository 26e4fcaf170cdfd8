"""Spectral normalization against PyTorch's, and what evaluation stores."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.models.layers.spectral import SpectralConv, SpectralDense, SpectralEmbed, kernels
from jaxgen.spectral_norm import power_iteration

LAYERS = {"linear": (SpectralDense, (6,)), "conv": (SpectralConv, (5, (3, 3)))}


@pytest.mark.parametrize("name", LAYERS)
def test_kernels_are_those_of_pytorch_and_keep_their_vector_from_step_to_step(name, golden, x64):
    """Breaks if a kernel is reshaped with another axis first, an iteration is left out or made twice, or its result is
    not carried: the critic then has another Lipschitz constant than the published one."""
    data = golden("families/gan_spectral_norm")
    layer, arguments = LAYERS[name]
    kernel = np.moveaxis(data[f"{name}/w"], 0, -1)
    kernel = np.moveaxis(kernel, 0, 2) if name == "conv" else kernel  # OIHW -> IHWO -> HWIO
    inputs = kernel.shape[-2]
    x = np.random.default_rng(0).standard_normal((2, 4, 4, inputs) if name == "conv" else (2, inputs))
    plain = nn.Conv(5, (3, 3), use_bias=False) if name == "conv" else nn.Dense(6, use_bias=False)
    trained = layer(*arguments, use_bias=False, train=True)
    variables = {"params": {"kernel": jnp.asarray(kernel)}, "spectral": {"u": jnp.asarray(data[f"{name}/u0"])}}
    for step in (1, 2, 3):
        sigma, _ = power_iteration(trained.matrix(variables["params"]["kernel"]), variables["spectral"]["u"])
        np.testing.assert_allclose(sigma, data[f"{name}/it{step}/sigma"], rtol=1e-9)
        y, moved = trained.apply(variables, x, mutable=["spectral"])
        np.testing.assert_allclose(moved["spectral"]["u"], data[f"{name}/it{step}/u"], rtol=1e-9)
        want = plain.apply({"params": {"kernel": kernel / data[f"{name}/it{step}/sigma"]}}, x)
        np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-9)
        evaluated, kept = layer(*arguments, use_bias=False).apply(variables, x, mutable=["spectral"])
        np.testing.assert_allclose(evaluated, want, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(kept["spectral"]["u"], variables["spectral"]["u"])
        variables = {**variables, **moved}


@pytest.mark.parametrize("layer, axes", [(SpectralConv(4, (3, 3), use_bias=False, train=True), (0, 1, 2)), (None, ())])
def test_iterations_find_the_norm(layer, axes):
    """Breaks if the vector converges to anything but the first singular vector: kernels would not have norm one."""
    layer = layer or SpectralEmbed(7, 3, train=True)
    x = jnp.ones((1, 4, 4, 2)) if axes else jnp.arange(7)
    variables = layer.init(jax.random.key(0), x)
    for _ in range(200):
        _, moved = layer.apply(variables, x, mutable=["spectral"])
        variables = {**variables, **moved}
    (kernel,) = variables["params"].values()
    norm = np.linalg.norm(np.asarray(kernel).reshape(-1, kernel.shape[-1]), 2)
    sigma, _ = power_iteration(layer.matrix(kernel), variables["spectral"]["u"])
    np.testing.assert_allclose(sigma, norm, rtol=1e-6)


def test_the_gradient_is_that_of_a_kernel_over_its_norm(x64):
    """Breaks if a gradient flows through the iterated vectors or none flows through sigma (1802.05957 eq. 12)."""
    w, x = jax.random.normal(jax.random.key(0), (3, 4)), jax.random.normal(jax.random.key(1), (2, 3))
    layer = SpectralDense(4, use_bias=False)
    u, s, vt = np.linalg.svd(np.asarray(w).T)
    variables = {"params": {"kernel": w}, "spectral": {"u": jnp.asarray(u[:, 0])}}
    grad = jax.grad(lambda p: jnp.sum(jnp.sin(layer.apply({**variables, "params": p}, x))))(variables["params"])
    exact = jax.grad(lambda w: jnp.sum(jnp.sin(x @ w / jnp.linalg.norm(w, 2))))(w)
    np.testing.assert_allclose(grad["kernel"], exact, rtol=1e-8, atol=1e-10)


def test_sigma_is_float32_where_the_layer_computes_in_bfloat16():
    """Breaks if the iteration runs in 8 bits, where it stops converging; or if the product is left in float32."""
    layer = kernels(True, True, jnp.bfloat16).dense(5)
    variables = layer.init(jax.random.key(0), jnp.ones((2, 3)))
    y, moved = layer.apply(variables, jnp.ones((2, 3)), mutable=["spectral"])
    assert y.dtype == jnp.bfloat16 and moved["spectral"]["u"].dtype == jnp.float32
    _, u = power_iteration(layer.matrix(variables["params"]["kernel"]), variables["spectral"]["u"])
    np.testing.assert_array_equal(moved["spectral"]["u"], u)
