r"""Path length regularization: the generator's Jacobian by its styles w should keep lengths.

    (|J_w^T y| - a)^2,   y ~ N(0, I) / sqrt(H W),   a <- a + decay (mean |J_w^T y| - a)

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (1912.04958), section 3.2 and
appendix B. Its weight is 2, at every fourth step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxgen import gaussian
from jaxgen.losses.algebra import Aux, Batch, Loss, Params
from jaxgen.losses.denoising import mean
from jaxgen.losses.root import root

Styles = Callable[[Params, Batch, Array], Array]  # (params, batch, keys [B]) -> w [B, ..., D]
Synthesize = Callable[[Params, Array, Array], Array]  # (params, w, keys) -> images [B, H, W, C]
NETWORK = "path_length"


def unmeasured() -> dict[str, Any]:
    """The pseudo-network `path_length` before the first step: a = 0. The generator's player owns it."""
    return {"params": {}, "state": {"mean": jnp.zeros(())}}


def lengths(synthesize: Callable[[Array], Array], w: Array, noise: Array) -> Array:
    """|J_w^T y| [B] with y = noise / sqrt(H W): the root mean square over layers where
    styles are [B, layers, D]."""
    images, pull = jax.vjp(synthesize, w)
    _, height, width, _ = images.shape
    (gradient,) = pull((noise / jnp.sqrt(height * width)).astype(images.dtype))
    return root(mean(jnp.sum(jnp.square(gradient), axis=-1)))


def deviation(length: Array, a: Array, decay: float) -> tuple[Array, Array]:
    """((length - a)^2 [B], a), with a moved towards the mean of the lengths first."""
    a = a + decay * (jnp.mean(length) - a)
    return jnp.square(length - a), a


def path_length(styles: Styles, synthesize: Synthesize, decay: float = 0.01, shrink: int = 2) -> Loss:
    """The penalty of unit weight, of every `shrink`-th example, which stands for its neighbours too. The metric
    "jacobian_length" is |J_w^T y|."""

    def loss(params: Params, batch: Batch, keys: Array) -> tuple[Array, Aux]:
        size = keys.shape[0]
        if size % shrink:
            raise ValueError(f"path_length uses one of {shrink} examples, but a batch of {size} is no multiple of it.")

        def thinned(leaf: Array) -> Array:
            return leaf.reshape(-1, shrink, *leaf.shape[1:])[:, 0] if jnp.ndim(leaf) else leaf

        some = thinned(keys)
        w = styles(params, jax.tree.map(thinned, batch), some)
        shape = jax.eval_shape(synthesize, params, w, some).shape[1:]
        noise = gaussian.noise(some, 0x9A70, shape, w.dtype)
        length = lengths(lambda w: synthesize(params, w, some), w, noise)
        value, a = deviation(length, params[NETWORK]["state"]["mean"], decay)
        updates = {NETWORK: {"state": {"mean": jax.lax.stop_gradient(a)}}}
        return jnp.repeat(value, shrink), Aux({"jacobian_length": jnp.repeat(length, shrink)}, updates)

    return loss
