"""Affine maps of the image plane, and images seen through them without aliasing.

    y = down(sample(up(pad(x)), G^-1))

pad reflects, up and down are orthogonal (sym6), so the identity G gives x back.
Source: Karras et al. 2020 (2006.06676), appendix B.1, algorithm 1.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.ndimage import map_coordinates

from jaxgen.augment.wavelets import SYM6
from jaxgen.upfirdn import upfirdn2d

REACH = len(SYM6) // 4  # pixels to either side that a filter at twice the rate sees


def scaling(x: Array, y: Array) -> Array:
    """[3, 3]: (x, y) times this in homogeneous coordinates."""
    return jnp.diag(jnp.stack([x, y, jnp.ones_like(x)]))


def translation(x: Array, y: Array) -> Array:
    """[3, 3]: by (x, y) pixels, right and down."""
    return jnp.eye(3, dtype=x.dtype).at[:2, 2].set(jnp.stack([x, y]))


def rotation(angle: Array) -> Array:
    """[3, 3]: by `angle` radians, from the x axis (right) to the y axis (down)."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.eye(3, dtype=angle.dtype).at[:2, :2].set(jnp.array([[c, -s], [s, c]]))


def warp(x: Array, inverse: Array) -> Array:
    """x: [B, H, W, C]; inverse: [B, 3, 3], where in x, in pixels from its middle, each place of the result comes from.

    Beyond its border an image goes on as its reflection, for its own size on every side; farther out it is 0.
    """
    _, height, width, _ = x.shape
    x = jnp.pad(x, ((0, 0), (height - 1,) * 2, (width - 1,) * 2, (0, 0)), mode="reflect")
    x = upfirdn2d(x, SYM6, up=2, padding=(2 * REACH, 2 * REACH - 1), gain=2)
    rows, columns = (centered(2 * (n + 2 * REACH), x.dtype) for n in (height, width))
    middle = jnp.array([(n - 1) / 2 for n in x.shape[2:0:-1]], x.dtype)

    def one(image: Array, inverse: Array) -> Array:
        # pixels at twice the rate are half as far apart, and lie half of one to the upper left
        places = jnp.stack(jnp.meshgrid(columns, rows), axis=-1) / 2 + 0.25
        places = jnp.einsum("ij,hwj->hwi", inverse[:2, :2], places, precision="highest") + inverse[:2, 2]
        u, v = jnp.moveaxis(2 * places - 0.5 + middle, -1, 0)
        channel = jax.vmap(lambda plane: map_coordinates(plane, [v, u], order=1, cval=0.0), -1, -1)
        return channel(image)

    return upfirdn2d(jax.vmap(one)(x, inverse), SYM6, down=2, padding=-1, flip=True, gain=1 / 2)


def centered(size: int, dtype: jnp.dtype) -> Array:
    """[size]: places of pixels along one axis, from the middle."""
    return jnp.arange(size, dtype=dtype) - (size - 1) / 2
