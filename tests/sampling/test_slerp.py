"""Interpolation along great circles."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.sampling.slerp import slerp

WEIGHTS = jnp.linspace(0, 1, 5)


def test_it_goes_along_the_circle_at_constant_speed():
    """Breaks if points between two unit vectors leave the sphere, as on a straight line, or bunch up at its ends."""
    a, b = jnp.array([1.0, 0, 0]), jnp.array([0, 1.0, 0])
    points = slerp(a, b, WEIGHTS)
    angle = np.pi / 2 * np.asarray(WEIGHTS)
    np.testing.assert_allclose(points, np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1), atol=1e-6)


def test_ends_are_the_ends_leaf_by_leaf():
    """Breaks if a tree of latent variables of several groups is interpolated as anything but its parts."""
    a, b = (
        {"x": jax.random.normal(k, (2, 3)), "y": jax.random.normal(k, (4,))}
        for k in jax.random.split(jax.random.key(0))
    )
    way = slerp(a, b, WEIGHTS)
    for part in a:
        np.testing.assert_allclose(way[part][0], a[part], atol=1e-6)
        np.testing.assert_allclose(way[part][-1], b[part], atol=1e-6)


def test_where_there_is_no_angle_it_is_a_straight_line():
    """Breaks if equal, zero or opposite vectors divide by sin(0): pictures would be NaN."""
    a = jnp.array([1.0, 2.0])
    for b in (a, jnp.zeros(2), 3 * a, -a):
        np.testing.assert_allclose(slerp(a, b, WEIGHTS), a + WEIGHTS[:, None] * (b - a), atol=2e-3)
