r"""Linear measurements of images, y = A x, example by example: what inverse problems are about.

    A^+ y = A^T (A A^T)^+ y        x - A^+ (A x - y): the image nearest to x that measures y

| operator | A x |
|---|---|
| inpainting(mask, shape) | the pixels where the mask is 1 |
| grey(shape) | the mean of the channels |
| pooling(shape, factor) | the mean of every block of factor x factor pixels |
| blur(shape, std) | the convolution with a Gaussian |
| separable(shape, rows, columns) | R x C^T, for each channel |
| matrix(m, shape) | M x, on the flattened image |
| linear(apply, shape) | any linear function of one image, its inverse by conjugate gradients |
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.sde import expand

Shape = tuple[int, ...]


class Operator(NamedTuple):
    """y = A x for x [B, ...], y [B, ...].

    forward: x -> A x.
    adjoint: y -> A^T y.
    solve:   (y, damping [B]) -> (A A^T + damping I)^-1 y; at damping 0 the pseudo-inverse (A A^T)^+ y.
    """

    forward: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]
    solve: Callable[[Array, Array], Array]

    def inverse(self, y: Array) -> Array:
        """A^+ y, the least image that measures y. y [B, ...] -> x [B, ...]."""
        return self.adjoint(self.solve(y, jnp.zeros_like(y, shape=y.shape[:1])))

    def impose(self, x: Array, y: Array) -> Array:
        """x - A^+ (A x - y), the image nearest to x that measures y. -> [B, ...]."""
        return x - self.inverse(self.forward(x) - y)


def inpainting(mask: ArrayLike, shape: Shape) -> Operator:
    """A x = mask x, the image with zeros where it is not known. mask: 0 or 1, [H, W, 1 or C] for images of `shape`
    (H, W, C), or with one for each image in front. A A^T = mask."""
    where = jnp.asarray(mask)
    height, width, channels = shape
    if where.ndim not in (3, 4) or where.shape[-3:-1] != (height, width) or where.shape[-1] not in (1, channels):
        raise ValueError(f"a mask for images {shape} must be [{height}, {width}, 1 or {channels}], got {where.shape}.")
    where = jnp.broadcast_to(where, (*where.shape[:-1], channels))

    def known(x: Array) -> Array:
        return where.astype(x.dtype) * x

    return Operator(known, known, lambda y, damping: known(y) / expand(1 + damping, y))


def grey(shape: Shape) -> Operator:
    """A x = mean_c x_c, [B, H, W, C] -> [B, H, W, 1]. A A^T = 1/C. It measures what the first coordinate of any
    rotation of the channels with first axis (1, ..., 1)/sqrt(C) does, up to a factor sqrt(C) (2011.13456 I.3)."""
    channels = shape[-1]
    if channels < 2:
        raise ValueError(f"colours can only be filled in where there are several channels, got images {shape}.")

    return Operator(
        lambda x: jnp.mean(x, axis=-1, keepdims=True),
        lambda y: jnp.repeat(y / channels, channels, axis=-1),
        lambda y, damping: y / expand(1 / channels + damping, y),
    )


def pooling(shape: Shape, factor: int) -> Operator:
    """The mean of every block of factor x factor pixels, [B, H, W, C] -> [B, H/factor, W/factor, C]."""
    height, width, _ = shape
    if factor < 2 or height % factor or width % factor:
        raise ValueError(f"a factor of {factor} does not divide images of {height}x{width} into blocks of two or more.")
    rows, columns = (np.kron(np.eye(n // factor), np.full(factor, 1 / factor)) for n in (height, width))
    return separable(shape, rows, columns)


def blur(shape: Shape, std: float, cutoff: float = 1e-2) -> Operator:
    """Convolution with a Gaussian of `std` pixels, whose rows sum to 1 at the borders too. What it dims by more than
    `cutoff` counts as not measured."""
    if std <= 0:
        raise ValueError(f"a blur needs a positive standard deviation, got {std} pixels.")

    def kernel(n: int) -> np.ndarray:
        weights = np.exp(-0.5 * np.square(np.subtract.outer(np.arange(n), np.arange(n)) / std))
        return weights / weights.sum(1, keepdims=True)

    return separable(shape, kernel(shape[0]), kernel(shape[1]), cutoff)


def separable(shape: Shape, rows: ArrayLike, columns: ArrayLike, cutoff: float = 1e-6) -> Operator:
    """A x = R x C^T for each channel; R [h, H], C [w, W], [B, H, W, C] -> [B, h, w, C].

    A A^T = RR^T (x) CC^T is inverted through the singular value decompositions of R and C. What has a singular value
    below `cutoff` times the largest counts as not measured: A is R, C without it.
    """
    height, width, channels = shape
    parts = [np.linalg.svd(np.asarray(m, np.float64), full_matrices=False) for m in (rows, columns)]
    (u, s, v), (a, r, b) = parts
    if v.shape[1] != height or b.shape[1] != width:
        raise ValueError(f"matrices over {v.shape[1]} rows and {b.shape[1]} columns do not fit images {shape}.")
    spectrum = np.multiply.outer(s, r)
    spectrum = np.where(spectrum > cutoff * spectrum.max(), spectrum, 0)

    def transform(x: Array, left: np.ndarray, right: np.ndarray) -> Array:
        return jnp.einsum("ph,bhwc,qw->bpqc", jnp.asarray(left, x.dtype), x, jnp.asarray(right, x.dtype))

    def scaled(x: Array, factor: np.ndarray | Array) -> Array:
        return x * jnp.asarray(factor, x.dtype)[..., None]

    def solve(y: Array, damping: Array) -> Array:
        square = np.square(spectrum) + damping[:, None, None]
        inverse = jnp.where(spectrum > 0, 1 / jnp.where(spectrum > 0, square, 1), 0)
        return transform(scaled(transform(y, u.T, a.T), inverse), u, a)

    return Operator(
        lambda x: transform(scaled(transform(x, v, b), spectrum), u, a),
        lambda y: transform(scaled(transform(y, u.T, a.T), spectrum), v.T, b.T),
        solve,
    )


def matrix(m: ArrayLike, shape: Shape, cutoff: float = 1e-6) -> Operator:
    """A x = M x of the flattened image, M [k, D], [B, *shape] -> [B, k]; singular values as in `separable`."""
    m = np.asarray(m, np.float64)
    size = math.prod(shape)
    if m.ndim != 2 or m.shape[1] != size:
        raise ValueError(f"a matrix on images {shape} must have {size} columns, got {m.shape}.")
    flat = separable((size, 1, 1), m, np.ones((1, 1)), cutoff)
    return Operator(
        lambda x: flat.forward(x.reshape(-1, size, 1, 1))[..., 0, 0],
        lambda y: flat.adjoint(y[..., None, None]).reshape(-1, *shape),
        lambda y, damping: flat.solve(y[..., None, None], damping)[..., 0, 0],
    )


def linear(apply: Callable[[Array], Array], shape: Shape, tolerance: float = 1e-6) -> Operator:
    """Any linear `apply`(x of `shape`) -> y of one image, whose A A^T is well conditioned: the adjoint is JAX's
    transpose, the inverse conjugate gradients to a residual of `tolerance` times y."""
    measured = jax.eval_shape(apply, jax.ShapeDtypeStruct(shape, jnp.float32))
    size = math.prod(measured.shape)

    def transpose(y: Array) -> Array:
        return jax.linear_transpose(apply, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]

    def solve(y: Array, damping: Array) -> Array:
        def normal(v: Array) -> Array:
            return apply(transpose(v)) + damping * v

        return jax.scipy.sparse.linalg.cg(normal, y, tol=tolerance, maxiter=2 * size)[0]

    return Operator(jax.vmap(apply), jax.vmap(transpose), jax.vmap(solve))
