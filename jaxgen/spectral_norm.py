r"""The largest singular value of a matrix by power iteration.

    v = W^T u / |W^T u|,   u' = W v / |W v|,   sigma(W) = u'^T W v

Source: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (1802.05957), algorithm 1.
"""

import jax.numpy as jnp
from jax import Array, lax

EPSILON = 1e-12


def unit(x: Array) -> Array:
    """x / |x|."""
    return x / jnp.maximum(jnp.linalg.norm(x), EPSILON)


def power_iteration(w: Array, u: Array) -> tuple[Array, Array]:
    """(sigma, u'): the estimate of the largest singular value of w [out, rest] from u [out], and the next u. Both
    vectors are constants of the gradient."""
    fixed = lax.stop_gradient(w)
    v = unit(fixed.T @ u)
    u = unit(fixed @ v)
    return u @ w @ v, u
