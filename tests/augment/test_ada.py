"""The augmentations of ADA against the published pipeline, and what makes them fit for training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import erfinv, ndtr

from jaxgen.augment.ada import (
    BLIT,
    COLOR,
    EXPECTED_POWER,
    GEOMETRY,
    TRANSFORMS,
    ada,
    gains,
    parameters,
    transformed,
    transforming,
)
from jaxgen.augment.augmented import augmented

CATEGORIES = {
    "blit": BLIT,
    "geom": GEOMETRY,
    "color": COLOR,
    "filter": ("bands",),
    "cutout": ("cutout",),
    "bgc": BLIT + GEOMETRY + COLOR,
}


def at_quantile(q: float, names: tuple[str, ...], batch: int) -> dict[str, jax.Array]:
    """Every number at its q-quantile, as the published pipeline has it for its tests: there, the normal quantile is
    erfinv(2q - 1), without the factor sqrt 2, so normal numbers are taken at the u that has it; and the second rotation
    is 0."""
    gaussian = "scale", "anisotropy", "fraction", "brightness", "contrast", "saturation", "bands"
    made = {}
    for name in names:
        u = ndtr(erfinv(2 * q - 1)) if name in gaussian else jnp.asarray(q)
        made[name] = TRANSFORMS[name].quantile(jnp.full(TRANSFORMS[name].size, u))
    if "rotation" in made:
        made["rotation"] = made["rotation"].at[1].set(0)
    return {name: jnp.tile(numbers, (batch, 1)) for name, numbers in made.items()}


@pytest.mark.parametrize("q", [0.2, 0.7])
@pytest.mark.parametrize("category", CATEGORIES)
def test_the_pipeline_is_the_published_one(category, q, golden, x64):
    """A transform that is inverted, off by half a pixel or in another order trains another critic.

    The published one reflects an image only as far as the batch needs, six pixels more for the filters, and puts zeros
    beyond; here the whole image is reflected. One corner, at q = 0.2, looks farther, with a weight of 1e-7.
    """
    data = golden("families/gan_ada_augment")
    x = jnp.asarray(data["x"].transpose(0, 2, 3, 1))
    y = transformed(x, at_quantile(q, CATEGORIES[category], len(x)), jnp.zeros_like(x))
    error = np.abs(y.transpose(0, 3, 1, 2) - data[f"{category}_p{q}"]).max((0, 1))
    if category in ("geom", "bgc") and q == 0.2:
        assert error[-1, -1] < 1e-6
        error[-1, -1] = 0
    assert error.max() < 1e-9


def pipeline(strength: float = 1.0):
    return ada(64, blit=strength, geometry=strength, color=strength, bands=strength, noise=strength, cutout=strength)


def with_probability(p: float) -> dict:
    return {"augment": {"params": {}, "state": {"p": p}}}


X = jax.random.uniform(jax.random.key(1), (6, 9, 12, 3), minval=-1, maxval=1)
KEYS = jax.random.split(jax.random.key(2), 6)


@pytest.fixture(scope="module")
def augment(jit):
    return jit(lambda p, keys, x: pipeline().augment(with_probability(p), keys, x))


def test_an_image_that_nothing_happens_to_comes_back(augment):
    """At p = 0, where training begins, every image must reach the critic as it is."""
    np.testing.assert_allclose(augment(0.0, KEYS, X), X, atol=2e-6)
    assert jnp.abs(augment(1.0, KEYS, X) - X).max((1, 2, 3)).min() > 0.1


def test_an_image_is_augmented_by_its_own_key_alone(augment):
    """An example must see the same augmentation on any number of devices, in any part of a batch."""
    order = jnp.array([3, 1, 4, 0, 5, 2])
    np.testing.assert_allclose(augment(0.8, KEYS[order], X[order]), augment(0.8, KEYS, X)[order], atol=1e-5)


def test_moves_of_the_plane_go_where_they_say(jit):
    """Shifts are of whole pixels, which no resampling may blur; mirrors and quarter turns meet filters that are not
    quite symmetric, and move an image by a fraction of one. Left, right and down are positive; from outside comes the
    reflection."""
    noisy, place = X[:1, :8, :8], jnp.linspace(0, 1, 16)
    smooth = jnp.cos(2 * place[:, None, None] + 1.3 * place[:, None] + jnp.arange(3))[None]
    neutral = {"flip": [0], "quarter_turns": [0], "shift": [0, 0]}
    moved = jit(lambda x, numbers: transformed(x, numbers, jnp.zeros_like(x)))
    for x, numbers, want, error in (
        (smooth, {"flip": [1]}, smooth[:, :, ::-1], 0.04),
        (smooth, {"quarter_turns": [1]}, jnp.rot90(smooth, 1, (1, 2)), 0.04),
        (smooth, {"quarter_turns": [2]}, smooth[:, ::-1, ::-1], 0.04),
        (noisy, {"shift": [0.125, 0]}, jnp.concatenate([noisy[:, :, 1:2], noisy[:, :, :-1]], 2), 2e-6),
        (noisy, {"shift": [0, -0.11]}, jnp.concatenate([noisy[:, 1:], noisy[:, -2:-1]], 1), 2e-6),
    ):
        y = moved(x, {name: jnp.array([value], float) for name, value in (neutral | numbers).items()})
        np.testing.assert_allclose(y, want, atol=error, err_msg=str(numbers))


def test_a_smooth_image_is_turned_about_its_middle(x64, jit):
    """A plane wave seen through a rotation, scaling and shift is known everywhere: resampling may not move it."""
    size, middle = 32, 15.5
    place = (jnp.arange(size) - middle)[None, :, None], (jnp.arange(size) - middle)[:, None, None]

    def wave(u, v):
        return jnp.cos(0.11 * u + 0.07 * v + 0.3)

    angle, scale, shift = 0.4, 1.25, 2.0
    given = {"rotation": [angle, 0.0], "scale": [np.log2(scale)], "fraction": [shift / size, 0.0]}
    given = {name: jnp.array([value], float) for name, value in given.items()}
    y = jit(lambda x: transformed(x, given, jnp.zeros_like(x)))(wave(*place)[None])[0]
    u, v = place[0] - shift, place[1]  # moved last, so undone first
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    np.testing.assert_allclose(y[8:-8, 8:-8], wave(c * u - s * v, s * u + c * v)[8:-8, 8:-8], atol=3e-3)


def test_colors_keep_what_they_should(x64):
    """Hue and saturation leave the gray of every pixel, contrast and brightness its color, and a gray image has no
    hue."""
    x, names = jnp.asarray(X, float), ("hue", "saturation", "contrast", "brightness")
    hue, saturation, contrast, brightness = (
        transformed(x, {name: jnp.full((6, 1), 0.7)}, jnp.zeros_like(x)) for name in names
    )
    for y in (hue, saturation):
        np.testing.assert_allclose(y.mean(-1), x.mean(-1), atol=1e-12)
    chroma = x - x.mean(-1, keepdims=True)
    for y, factor in ((saturation, 2**0.7), (contrast, 2**0.7), (brightness, 1)):
        np.testing.assert_allclose(y - y.mean(-1, keepdims=True), factor * chroma, atol=1e-12)
    turned = hue - hue.mean(-1, keepdims=True)
    cosine = (turned * chroma).sum(-1) / (chroma**2).sum(-1)
    np.testing.assert_allclose(cosine, np.cos(0.7), atol=1e-9)
    np.testing.assert_allclose(brightness - x, 0.7, atol=1e-12)
    gray = x.mean(-1, keepdims=True)
    numbers = {name: jnp.full((6, 1), 0.7) for name in COLOR} | {"luma_flip": jnp.ones((6, 1))}
    apart = transformed(jnp.tile(gray, 3), numbers, jnp.zeros_like(x))
    np.testing.assert_allclose(transformed(gray, numbers, gray), apart[..., :1], atol=1e-12)
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        transformed(x[..., :2], numbers, x[..., :2])


def test_numbers_follow_their_laws(jit):
    """A transform drawn too often or too wide is another augmentation than the published one."""
    n, p = 4096, 0.3
    keys = jax.random.split(jax.random.key(0), n)
    strengths = dict.fromkeys(TRANSFORMS, 0.5)
    draws = jit(jax.vmap(lambda key, p: parameters(key, p, strengths, jnp.float32), (0, None)))
    drawn, always = draws(keys, p), draws(keys, 2.0)
    for name, kind in TRANSFORMS.items():
        some, every = np.array(drawn[name]), np.array(always[name])
        assert np.isfinite(some).all() and some.shape == every.shape
        happens = some.any(1) if kind.gates in (1, 2) else some[:, 0] != 0
        chance = 0.15 * every.any(1).mean() if kind.gates == 1 else 0.15
        assert abs(happens.mean() - chance) < 4 * np.sqrt(chance / n), name
    for name, spread in (("scale", 0.2), ("anisotropy", 0.2), ("fraction", 0.125), ("brightness", 0.2)):
        assert abs(always[name].std() / spread - 1) < 0.05 and abs(always[name].mean()) < 0.1 * spread
    for name, spread in (("contrast", 0.5), ("saturation", 1.0), ("bands", 1.0)):
        assert abs(always[name].std() / spread - 1) < 0.05 and abs(always[name].mean()) < 0.1 * spread
    for name, bound in (("shift", 0.125), ("rotation", np.pi), ("hue", np.pi)):
        assert 0.97 * bound < jnp.abs(always[name]).max() <= bound
        assert abs(always[name].std() * np.sqrt(3) / bound - 1) < 0.05
    assert abs(jnp.sqrt((always["noise"] ** 2).mean()) / 0.1 - 1) < 0.05 and (always["noise"] >= 0).all()
    assert set(np.unique(always["quarter_turns"])) == {0, 1, 2, 3} and set(np.unique(always["flip"])) == {0, 1}
    assert (always["cutout"][:, 0] == 0.5).all()
    numbers = np.concatenate([np.array(value) for value in always.values()], 1)
    correlation = np.corrcoef(numbers[:, numbers.std(0) > 0].T)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.08


def test_noise_has_the_deviation_it_is_told(jit):
    """Noise of another size, or the same in every image, is not what the critic should be robust to."""
    x = jnp.zeros((4, 32, 32, 3))
    only = ada(64, blit=0.0, geometry=0.0, color=0.0, noise=1.0)
    keys = KEYS[:4]
    y = jit(lambda x: only.augment(with_probability(1.0), keys, x))(x)
    sigmas = jax.vmap(lambda key: parameters(key, 1.0, {"noise": 1.0}, x.dtype))(keys)["noise"][:, 0]
    np.testing.assert_allclose(y.std((1, 2, 3)) / sigmas, 1, atol=0.06)
    assert jnp.abs(jnp.corrcoef((y / sigmas[:, None, None, None]).reshape(4, -1)) - jnp.eye(4)).max() < 0.1


def test_gains_keep_the_expected_power(x64):
    """Images must not grow brighter or paler on average as bands are amplified."""
    logs = jax.random.normal(jax.random.key(0), (5, 4)) * jnp.eye(5, 4)
    power = jnp.sum(jnp.array(EXPECTED_POWER) * gains(logs) ** 2, -1)
    np.testing.assert_allclose(power, 1, atol=1e-12)


def test_penalties_reach_through_the_augmentation(jit):
    """R1 is the gradient by the image before it is augmented, and training differentiates it again: one infinite number
    ends a run."""
    x, keys = X[:2, :6, :6], KEYS[:2]
    seen = augmented(pipeline().augment, lambda params, x, cond, keys: (jnp.sum(params["w"] * x**2, (1, 2, 3)), {}))

    def penalty(w, x):
        params = {"w": w, **with_probability(0.9)}
        slope = jax.grad(lambda x: seen(params, x, None, keys)[0].sum())(x)
        return jnp.sum(slope**2)

    derivatives = jit(jax.value_and_grad(penalty, (0, 1)))
    w, step = jnp.ones(x.shape[1:]), 1e-2
    _, (by_w, by_x) = derivatives(w, x)
    assert jnp.isfinite(by_w).all() and jnp.isfinite(by_x).all() and jnp.abs(by_w).max() > 0
    slope = (derivatives(w, x * (1 + step))[0] - derivatives(w, x * (1 - step))[0]) / (2 * step)
    np.testing.assert_allclose(jnp.sum(by_x * x), slope, rtol=1e-2)


def test_unknown_transforms_are_refused():
    """A misspelt transform would silently be left out."""
    with pytest.raises(ValueError, match="transforms among flip, .* got rotate"):
        transforming({"rotate": 1.0})
