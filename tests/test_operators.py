"""Linear measurements against the matrices that they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.operators import blur, grey, inpainting, linear, matrix, pooling, separable

SHAPE = (4, 6, 3)
RNG = np.random.default_rng(0)
MASK = RNG.integers(0, 2, (4, 6, 1))
M = RNG.standard_normal((7, 72))


def pixels(x):
    """The sums of neighbouring columns, written for one image."""
    return x[:, 1:] + 2 * x[:, :-1]


EVERY = {
    "inpainting": inpainting(MASK, SHAPE),
    "grey": grey(SHAPE),
    "pooling": pooling(SHAPE, 2),
    "blur": blur(SHAPE, 0.7),
    "separable": separable(SHAPE, RNG.standard_normal((3, 4)), RNG.standard_normal((8, 6))),
    "matrix": matrix(M, SHAPE),
    "deficient matrix": matrix(np.concatenate([M[:3], M[:1] + M[1:2]]), SHAPE),
    "linear": linear(pixels, SHAPE, tolerance=1e-12),
}


@pytest.mark.parametrize("name", EVERY)
def test_transpose_and_inverse_are_those_of_the_matrix(name, x64):
    """Breaks if A^T, (A A^T + d)^-1 or the pseudo-inverse belongs to another A."""
    operator = EVERY[name]
    size = int(np.prod(SHAPE))
    columns = operator.forward(jnp.eye(size).reshape(size, *SHAPE))
    dense = np.asarray(columns.reshape(size, -1).T)
    y = jnp.asarray(RNG.standard_normal((2, *columns.shape[1:])))
    if name in ("deficient matrix", "blur", "inpainting"):  # measurements that some image has
        y = operator.forward(jnp.asarray(RNG.standard_normal((2, *SHAPE))))
    flat = np.asarray(y).reshape(2, -1)
    np.testing.assert_allclose(operator.adjoint(y).reshape(2, -1), flat @ dense, atol=1e-12)
    inverse = np.linalg.pinv(dense, rcond=1e-4)
    np.testing.assert_allclose(operator.inverse(y).reshape(2, -1), flat @ inverse.T, atol=1e-7)
    damping = np.array([0.3, 2.0])
    for i, damped in enumerate(operator.adjoint(operator.solve(y, jnp.asarray(damping)))):
        want = dense.T @ np.linalg.solve(dense @ dense.T + damping[i] * np.eye(len(dense)), flat[i])
        np.testing.assert_allclose(damped.reshape(-1), want, atol=1e-7)


@pytest.mark.parametrize("name", EVERY)
def test_imposing_changes_no_more_than_it_must(name, x64):
    """Breaks if the imposed image does not measure y, or what A does not see is touched."""
    operator = EVERY[name]
    x, other = jnp.asarray(RNG.standard_normal((2, 3, *SHAPE)))
    y = operator.forward(other)
    moved = operator.impose(x, y)
    np.testing.assert_allclose(operator.forward(moved), y, atol=1e-8)
    np.testing.assert_allclose(moved - operator.inverse(y), x - operator.inverse(operator.forward(x)), atol=1e-8)


def test_what_the_measurements_are(x64):
    """Breaks if the library's own measurements are not the ones that their names say."""
    x = jnp.asarray(RNG.standard_normal((2, *SHAPE)))
    np.testing.assert_allclose(EVERY["inpainting"].forward(x), np.where(MASK, x, 0))
    np.testing.assert_allclose(EVERY["grey"].forward(x)[..., 0], np.mean(x, -1), atol=1e-12)
    blocks = np.asarray(x).reshape(2, 2, 2, 3, 2, 3).mean((2, 4))
    np.testing.assert_allclose(EVERY["pooling"].forward(x), blocks, atol=1e-12)
    np.testing.assert_allclose(EVERY["pooling"].inverse(blocks), blocks.repeat(2, 1).repeat(2, 2), atol=1e-12)
    np.testing.assert_allclose(EVERY["blur"].forward(jnp.ones((1, *SHAPE))), 1, atol=1e-2)
    masks = jnp.asarray(RNG.integers(0, 2, (2, *SHAPE)))
    each = inpainting(masks, SHAPE)
    np.testing.assert_allclose(each.forward(x), masks * x)


def test_examples_do_not_meet():
    """Breaks if conjugate gradients stop for all images together, so that a result depends on its batch."""
    y = jnp.asarray(RNG.standard_normal((3, 4, 5, 3)), jnp.float32) * jnp.asarray([1.0, 1e-3, 1e3])[:, None, None, None]
    inverse = jax.jit(EVERY["linear"].inverse)
    alone = jnp.concatenate([inverse(y[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(inverse(y), alone, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: inpainting(np.ones((4, 6)), SHAPE), r"must be \[4, 6, 1 or 3\], got \(4, 6\)"),
        (lambda: inpainting(np.ones((6, 4, 1)), SHAPE), r"got \(6, 4, 1\)"),
        (lambda: inpainting(np.ones((2, 4, 6, 2)), SHAPE), "1 or 3"),
        (lambda: grey((8, 8, 1)), "several channels"),
        (lambda: pooling(SHAPE, 4), "4 does not divide images of 4x6"),
        (lambda: pooling(SHAPE, 1), "two or more"),
        (lambda: blur(SHAPE, 0.0), "positive standard deviation"),
        (lambda: matrix(np.ones((3, 5)), SHAPE), "must have 72 columns"),
        (lambda: separable(SHAPE, np.eye(5), np.eye(6)), "do not fit images"),
    ],
)
def test_what_does_not_fit_is_one_sentence(make, sentence):
    """Breaks if a mask, factor or matrix of another image is broadcast, or fails somewhere inside the sampler."""
    with pytest.raises(ValueError, match=sentence):
        make()
