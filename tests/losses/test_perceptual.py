"""Perceptual distances of any features; those of LPIPS are tested with its networks."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.losses.perceptual import distance


def test_features_are_compared_by_direction_and_averaged_over_pixels():
    """Breaks if a layer is not normalised over its channels, is not a mean over its pixels or misses its weights."""
    f = jnp.array([[[3.0, 4.0], [2.0, 0.0]]])  # two pixels: directions (.6, .8) and (1, 0)
    g = jnp.array([[[0.0, 7.0], [5.0, 0.0]]])  # (0, 1) and (1, 0)
    weights = jnp.array([2.0, 10.0])
    expected = (2 * 0.36 + 10 * 0.04) / 2
    np.testing.assert_allclose(distance([f], [g], [weights]), [expected], rtol=1e-6)
    np.testing.assert_allclose(distance([f, 3 * f], [g, g], [weights, 1.0]), [expected + 0.4 / 2], rtol=1e-6)


def test_a_black_pixel_has_a_finite_gradient():
    """Breaks if the norm of features that are all zero makes NaN: rectified features often are."""
    f = jnp.zeros((1, 2, 2, 3))
    assert jnp.isfinite(jax.grad(lambda g: distance([g], [f], [1.0]).sum())(f)).all()
