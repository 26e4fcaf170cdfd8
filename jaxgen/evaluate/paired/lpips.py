r"""LPIPS, version 0.1: how far apart two images are to the inside of a network, as people judged it.

    d(x, y) = sum_l mean_{h,w} sum_c w_lc (f_l(x) / ||f_l(x)|| - f_l(y) / ||f_l(y)||)^2

f_l are features of AlexNet, VGG16 or SqueezeNet, the `Trunk`; w_l >= 0 were fitted to people's judgement. Images are in
[-1, 1], with three channels, or with one, which counts as grey. Differentiable, with gradient 0 at x = y.

Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (1801.03924), eq. 1.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.losses import perceptual
from jaxgen.losses.algebra import Params
from jaxgen.models.layers.resample import bilinear_resize
from jaxgen.models.recognition import alexnet, shift_tolerant, squeezenet, vgg

NETWORK = "perceptual"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]


class Trunk(NamedTuple):
    """The network that LPIPS looks with: module(x) -> features [B, h_l, w_l, C_l], variables(state dict)."""

    module: nn.Module
    variables: Callable[[Mapping[str, Any]], dict[str, Any]]


ALEX = Trunk(alexnet.AlexNet(), alexnet.variables)
VGG = Trunk(vgg.VGG16(), vgg.variables)
SQUEEZE = Trunk(squeezenet.SqueezeNet(), squeezenet.variables)
SHIFT_TOLERANT_ALEX = Trunk(shift_tolerant.alex(), shift_tolerant.alex_variables)
SHIFT_TOLERANT_VGG = Trunk(shift_tolerant.vgg16(), shift_tolerant.vgg16_variables)


def lpips(params: Params, x: Array, y: Array, trunk: Trunk = VGG) -> Array:
    """d [B] of images [B, H, W, 1 or 3]; the network is params["perceptual"], see `frozen_lpips`. Raises ValueError for
    other arrays and, where their values are known, for others than in [-1, 1]."""
    return jnp.sum(per_layer(params, x, y, trunk), axis=0)


def per_layer(params: Params, x: Array, y: Array, trunk: Trunk = VGG) -> Array:
    """The terms of d, [L, B]."""
    return perceptual.layers(maps(params, x, y, trunk))


def spatial(params: Params, x: Array, y: Array, trunk: Trunk = VGG) -> Array:
    """Where images differ, [B, H, W]: the sum over c at every pixel of every layer, enlarged to that of the images,
    summed over l."""
    height, width = x.shape[1:3]
    of = (each[..., None] for each in maps(params, x, y, trunk))
    return jnp.sum(jnp.concatenate([bilinear_resize(each, height, width, False) for each in of], axis=-1), axis=-1)


def maps(params: Params, x: Array, y: Array, trunk: Trunk = VGG) -> list[Array]:
    """The sum over c at every pixel of every layer, [B, h_l, w_l]."""
    check(x, y)
    held = params[NETWORK]["frozen"]

    def seen(image: Array) -> Any:
        rgb = jnp.broadcast_to(image, (*image.shape[:-1], 3))
        return trunk.module.apply(held["trunk"], (rgb - jnp.array(SHIFT, x.dtype)) / jnp.array(SCALE, x.dtype))

    of_x, of_y = seen(x), seen(y)
    if not all(features.size for features in of_x):
        raise ValueError(
            f"images of {x.shape[1]} x {x.shape[2]} pixels leave nothing of its last layers: enlarge them."
        )
    return perceptual.maps(of_x, of_y, held["weights"])


def check(x: Array, y: Array) -> None:
    """Raises ValueError unless x and y are images that can be compared. Inside of jit their values are not known."""
    for image in (x, y):
        if image.ndim != 4 or image.shape[-1] not in (1, 3) or not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(
                "LPIPS is of floating-point images [B, H, W, 1 or 3] in [-1, 1], got "
                f"{image.dtype} {image.shape}: take uint8 pixels / 127.5 - 1."
            )
    if x.shape[1:3] != y.shape[1:3]:
        raise ValueError(f"LPIPS is of images of one size, got {x.shape[1:3]} and {y.shape[1:3]}: resize one of them.")
    if isinstance(x, jax.core.Tracer) or isinstance(y, jax.core.Tracer):
        return
    low, high = float(jnp.minimum(x.min(), y.min())), float(jnp.maximum(x.max(), y.max()))
    if not (-1.001 <= low and high <= 1.001):
        raise ValueError(f"LPIPS is of images in [-1, 1], got values from {low:g} to {high:g}: rescale them.")
    if low >= 0:
        warnings.warn(
            f"images from {low:g} to {high:g} seem to be in [0, 1], and LPIPS is of [-1, 1]: take 2 x - 1.",
            stacklevel=2,
        )


def shapes(trunk: Trunk = VGG) -> dict[str, Any]:
    """What `frozen_lpips` gives, as shapes."""
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    held = jax.eval_shape(trunk.module.init, jax.random.key(0), image)
    features: Sequence[Any] = jax.eval_shape(trunk.module.apply, held, image)
    weights = [jax.ShapeDtypeStruct(f.shape[-1:], jnp.float32) for f in features]
    return {"params": {}, "frozen": {"trunk": held, "weights": weights}}


def frozen_lpips(backbone: Mapping[str, Any], linear: Mapping[str, Any], trunk: Trunk = VGG) -> dict[str, Any]:
    """The pseudo-network `perceptual` of a `trunk` with the weights `backbone`, and LPIPS's linear layers, both state
    dicts (of a shift-tolerant trunk they are one). No gradient reaches what is not in the collection "params", so it is
    never trained. Raises ValueError for other networks."""
    held, wanted = trunk.variables(backbone), [w.shape[0] for w in shapes(trunk)["frozen"]["weights"]]
    weights = [np.asarray(linear.get(f"lin{i}.model.1.weight", ()), np.float32).ravel() for i in range(len(wanted))]
    if [w.size for w in weights] != wanted:
        raise ValueError(
            f"expected LPIPS's linear layers lin0 ... lin{len(wanted) - 1} of {wanted} weights, got "
            f"{[w.size for w in weights]}: take the file of LPIPS version 0.1 for this network."
        )
    if any((w < 0).any() for w in weights):
        raise ValueError(
            "expected LPIPS's linear layers, whose weights are never negative, but these are: take its file."
        )
    return {"params": {}, "frozen": jax.tree.map(jnp.asarray, {"trunk": held, "weights": weights})}
