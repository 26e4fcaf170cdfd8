"""LPIPS, version 0.1: the perceptual distance of VGG16's features with weights that were fitted to people's judgement.

Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (1801.03924).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.losses.algebra import Params
from jaxgen.losses.perceptual import distance
from jaxgen.models.vgg import STAGES, VGG16, variables

NETWORK = "perceptual"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]


def lpips(params: Params, x: Array, y: Array) -> Array:
    """LPIPS (version 0.1, VGG16) of images with three channels, or with one, which counts as grey; the network is
    params["perceptual"], see `frozen_lpips`."""
    held = params[NETWORK]["frozen"]

    def seen(image: Array) -> Any:
        rgb = jnp.broadcast_to(image, (*image.shape[:-1], 3))
        return VGG16().apply(held["vgg"], (rgb - jnp.array(SHIFT)) / jnp.array(SCALE))

    return distance(seen(x), seen(y), held["weights"])


def shapes() -> dict[str, Any]:
    """What `frozen_lpips` gives, as shapes."""
    vgg = jax.eval_shape(VGG16().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    weights = [jax.ShapeDtypeStruct((stage[-1],), jnp.float32) for stage in STAGES]
    return {"params": {}, "frozen": {"vgg": vgg, "weights": weights}}


def frozen_lpips(vgg: Mapping[str, Any], linear: Mapping[str, Any]) -> dict[str, Any]:
    """The pseudo-network `perceptual` of torchvision's VGG16 and LPIPS's linear layers, both state dicts. No gradient
    reaches what is not in the collection "params", so it is never trained. Raises ValueError for other networks."""
    weights = [np.asarray(linear.get(f"lin{i}.model.1.weight", ())) for i in range(5)]
    held = variables(vgg)
    channels = [held["params"][f"conv{i}_1"]["bias"].size for i in range(1, 6)]
    if [w.size for w in weights] != channels:
        raise ValueError(
            f"expected LPIPS's linear layers lin0 ... lin4 of {channels} weights, got {[w.size for w in weights]}: "
            "take vgg.pth of LPIPS version 0.1."
        )
    return {"params": {}, "frozen": jax.tree.map(jnp.asarray, {"vgg": held, "weights": [w.ravel() for w in weights]})}
