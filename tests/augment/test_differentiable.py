"""Differentiable augmentation against the published functions, and its draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.augment.differentiable import OPERATIONS, differentiable

KEYS = jax.random.split(jax.random.key(0), 256)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_the_published_ones(name, golden, x64):
    """A shift to the other side or a mean over other axes would be another augmentation under its name."""
    data = golden("families/gan_diffaugment")
    drawn = [jnp.asarray(data[key]).reshape(-1) for key in (f"{name}/rand0", f"{name}/rand1") if key in data]
    x = jnp.asarray(data["x"].transpose(0, 2, 3, 1))
    y = jax.vmap(OPERATIONS[name].apply)(x, drawn[0] if len(drawn) == 1 else jnp.stack(drawn, axis=-1))
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), data[f"{name}/y"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (6, 12), (5, 7)])
def test_every_place_is_drawn_and_no_other(size):
    """A range that lacks its last value never cuts the border, and one too long moves the image out of the frame."""
    most = [int(n / 8 + 0.5) for n in size]
    for name, low, high in (
        ("translation", [-n for n in most], most),
        ("cutout", [0, 0], [n - int(n / 2 + 0.5) % 2 for n in size]),
    ):
        drawn = jax.vmap(lambda key, name=name: OPERATIONS[name].draw(key, size=size))(KEYS)
        assert drawn.min(0).tolist() == low and drawn.max(0).tolist() == high


def test_each_image_has_its_own_and_always_the_same_augmentation(jit):
    """What happens to an image must not depend on the batch around it, and must differ between images."""
    x = jnp.tile(jax.random.normal(jax.random.key(1), (1, 8, 8, 3)), (4, 1, 1, 1))
    augment = jit(lambda keys, x: differentiable().augment({}, keys, x))
    y = augment(KEYS[:4], x)
    np.testing.assert_array_equal(y[2:], augment(KEYS[2:4], x[2:]))
    assert all(jnp.abs(y[i] - y[j]).max() > 0.01 for i in range(4) for j in range(i))


def test_unknown_operations_are_refused():
    """A misspelt operation would silently be left out."""
    with pytest.raises(ValueError, match="operations among brightness, .* got colour"):
        differentiable(("colour",))
