"""What must hold for any bijector: an inverse, the log-determinant of its Jacobian, both through compositions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.bijectors import (
    actnorm,
    affine,
    apart,
    chain,
    channels,
    checkerboard,
    coupling,
    diagonal_squeeze,
    factor_out,
    factorized,
    flatten,
    glow_affine,
    identity,
    invert,
    linear,
    logit,
    masked_coupling,
    permute,
    plu,
    rational_quadratic,
    sigmoid_affine,
    squeeze,
    swap,
)
from jaxgen.bijectors.autoregressive import autoregressive

SHAPE = (4, 4, 2)


def draws(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def parameters(channels, moved, count, seed=0):
    """A conditioner that mixes rows and channels: [B, H, W, channels] -> [B, H, W, moved, count]."""
    weight = draws(seed, channels, moved * count) / 2

    def apply(x):
        h = jnp.sin((x + 0.5 * jnp.roll(x, 1, 1)) @ weight.astype(x.dtype))
        return h.reshape(*x.shape[:-1], moved, count)

    return apply


def before(x):
    """Of every row of x, [B, 4, 4, 2], two parameters an element, as the rows above it say."""
    above = jnp.pad(jnp.cumsum(x, axis=1)[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
    return jnp.sin(above @ draws(4, 2, 4).astype(x.dtype)).reshape(*x.shape, 2)


def pair(bijector):
    """The transform of two parameters."""
    return lambda p: bijector(p[..., 0], p[..., 1])


def spline(p):
    return rational_quadratic(*jnp.split(2 * p, [4, 8], -1), -1.0, 1.0)


def multiscale():
    """Two scales: couplings with a checkerboard, a squeeze, a prior of what leaves, 1x1 convolutions."""
    split = channels(4)
    return chain(
        masked_coupling(checkerboard(4, 4), parameters(2, 2, 2), pair(affine)),
        masked_coupling(checkerboard(4, 4, 1), parameters(2, 2, 2, 1), pair(sigmoid_affine)),
        diagonal_squeeze(2),
        actnorm(draws(0, 8) / 4, draws(1, 8) / 4),
        plu(factorized(draws(2, 8, 8))),
        coupling(split, parameters(4, 4, 2), pair(glow_affine)),
        coupling(split, parameters(4, 4, 2, 3), pair(affine)),
        factor_out(split, (2, 2, 8), chain(squeeze(), permute(np.arange(16)[::-1]), flatten((1, 1, 16)))),
    )


BIJECTORS = {
    "identity": lambda: identity,
    "affine": lambda: affine(draws(0, 2), draws(1, *SHAPE)),
    "logit": lambda: chain(invert(logit()), affine(0.05, jnp.log(0.9)), logit()),
    "inverted": lambda: invert(coupling(channels(1), parameters(1, 1, 2), pair(affine))),
    "iaf": lambda: invert(autoregressive(before, pair(affine))),
    "apart": lambda: apart(swap(channels(1)), affine(draws(0, 1)), affine(1.0, draws(1, *SHAPE[:2], 1))),
    "linear": lambda: linear(draws(3, 2, 2)),
    "spline": lambda: coupling(channels(1), parameters(1, 1, 11), spline),
    "swapped": lambda: coupling(swap(channels(1)), parameters(1, 1, 2), pair(affine)),
    "masked spline": lambda: masked_coupling(checkerboard(4, 4), parameters(2, 2, 11), spline),
    "multi-scale": multiscale,
}


@pytest.mark.parametrize("name", BIJECTORS)
def test_inverse_and_log_determinant(name, x64, jit):
    """A wrong log-determinant shifts every likelihood that the flow reports, a wrong inverse every sample. The
    Jacobian is made column by column and its determinant taken; the inverse's must be its negative."""
    bijector, x = BIJECTORS[name](), draws(7, 3, *SHAPE)

    def flat(v):
        return bijector.forward(v.reshape(1, *SHAPE)).ravel()

    z, log_det = jit(bijector.forward_and_log_det)(x)
    jacobians = jit(jax.vmap(jax.jacfwd(flat)))(x.reshape(3, -1))
    np.testing.assert_allclose(log_det, jnp.linalg.slogdet(jacobians)[1], rtol=1e-9, atol=1e-11)
    back, negative = jit(bijector.inverse_and_log_det)(z)
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(negative, -log_det, rtol=1e-9, atol=1e-11)


def test_derived_methods_and_types(jit):
    """Integers must become floats, float32 stay what it is, and the three methods be those of the two maps."""
    bijector = chain(affine(1.0, -2.0), multiscale())
    x = jax.random.randint(jax.random.key(0), (2, *SHAPE), 0, 17)
    z, log_det = jit(bijector.forward_and_log_det)(x)
    back = jit(bijector.inverse)(z)
    assert z.dtype == log_det.dtype == back.dtype == jnp.float32
    assert z.shape == (2, 32) and log_det.shape == (2,)
    np.testing.assert_array_equal(jit(bijector.forward)(x), z)
    np.testing.assert_array_equal(jit(bijector.log_det)(x), log_det)
    np.testing.assert_allclose(back, x, atol=1e-4)


def test_what_leaves_is_the_first_part_of_the_latent(x64):
    """The prior of what leaves sees what stays, and the rest of the flow nothing of what left: otherwise samples of
    the two scales would not be independent given the one below."""
    split = channels(1)
    prior = coupling(split, parameters(1, 1, 2), pair(affine))
    rest = factor_out(split, SHAPE, flatten((4, 4, 1)))
    x = draws(0, 2, *SHAPE)
    z = chain(prior, rest).forward(x)
    np.testing.assert_array_equal(z[:, 16:], x[..., 0].reshape(2, 16))
    np.testing.assert_allclose(z[:, :16], prior.forward(x)[..., 1].reshape(2, 16))


@pytest.mark.parametrize("height, width", [(5, 4), (4, 7)])
def test_odd_images_cannot_be_squeezed(height, width):
    """A reshape error deep in a network instead of one sentence, or, worse, rows mixed silently."""
    with pytest.raises(ValueError, match=rf"height and a width that 2 divides, got {height}x{width}"):
        squeeze().forward(jnp.zeros((1, height, width, 3)))


def test_splines_of_wrong_sizes_are_refused():
    """Parameters split at the wrong places would give another spline, without a word."""
    with pytest.raises(ValueError, match="8 widths has 8 heights and 7 slopes .* got 8 heights and 8 slopes"):
        rational_quadratic(*jnp.zeros((3, 1, 8)))
    with pytest.raises(ValueError, match="2000 bins, each at least 0.001 of the whole, do not fit"):
        rational_quadratic(jnp.zeros(2000), jnp.zeros(2000), jnp.zeros(1999))


@pytest.mark.parametrize("slopes", [7, 9])
def test_spline_gradients_are_finite_everywhere(slopes, jit):
    """One value outside of the box must not make the whole gradient NaN, as a `where` of two branches does. Also at
    the knots, far away in float32, and for parameters that crowd the bins."""
    x = jnp.asarray([-3e4, -3.5, -3.0, 0.0, 3.0, 3.5, 3e4])

    def total(u, x):
        bijector = rational_quadratic(*jnp.split(u, [8, 16], -1))
        return sum(map(jnp.sum, bijector.forward_and_log_det(x) + bijector.inverse_and_log_det(x)))

    gradient = jit(jax.grad(total, (0, 1)))
    for spread in (1.0, 30.0):
        for part in gradient(spread * draws(0, 7, 16 + slopes), x):
            assert jnp.isfinite(part).all(), f"parameters of spread {spread}"


def test_splines_go_on_straight(x64, jit):
    """Outside of the box: the identity with linear tails, else the slope of the end; a step there would be no map."""
    u = draws(0, 25)
    x = jnp.asarray([-50.0, -3.001, 3.001, 50.0])

    @jit
    def both(u, x):
        tails, free = (rational_quadratic(u[:8], u[8:16], slopes) for slopes in (u[16:23], u[16:]))
        return tails.forward_and_log_det(x), free.forward_and_log_det(x)

    (tails, none), (free, log_slopes) = both(u, x)
    np.testing.assert_allclose(tails, x, rtol=1e-12)
    np.testing.assert_allclose(none, 0, atol=1e-12)
    slopes = 1e-3 + np.log1p(np.exp(np.asarray(u)))[[16, 16, -1, -1]]
    np.testing.assert_allclose(log_slopes, np.log(slopes), rtol=1e-12)
    edge = 3 * np.sign(x)
    np.testing.assert_allclose(free, edge + slopes * (x - edge), rtol=1e-12)


def test_deep_splines_invert_in_float32(jit):
    """Samples would drift from what the likelihood is of: eight spline couplings after each other, there and back."""
    u = np.random.default_rng(0).normal(size=(8, 23)).astype(np.float32)

    def layer(i):
        def transform(kept):
            return rational_quadratic(*jnp.split((u[i] + jnp.sin(kept[..., None] + i)) / 3, [8, 16], -1))

        return coupling(channels(1) if i % 2 else swap(channels(1)), lambda kept: kept, transform)

    bijector, x = chain(*map(layer, range(8))), 2 * draws(1, 4096, 2)
    assert x.dtype == jnp.float32
    z, log_det = jit(bijector.forward_and_log_det)(x)
    back, negative = jit(bijector.inverse_and_log_det)(z)
    assert jnp.abs(z - x).mean() > 0.1
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(negative, -log_det, atol=1e-3)
