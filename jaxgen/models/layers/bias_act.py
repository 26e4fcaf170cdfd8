"""A bias and a nonlinearity that keeps the variance of what comes in.

    y = clip(gain_act act(x + b), -clamp, clamp)

gain_act = sqrt(2) for the rectifiers, which halve the second moment of a centred input, and 1 otherwise.

Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix D (nonlinearities
and clamping of StyleGAN2-ADA); He et al. 2015, eq. (10).
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Activation(NamedTuple):
    function: Callable[[Array], Array]
    gain: float = 1.0


ACTIVATIONS: Mapping[str, Activation] = {
    "linear": Activation(lambda x: x),
    "relu": Activation(jax.nn.relu, sqrt(2)),
    "lrelu": Activation(partial(jax.nn.leaky_relu, negative_slope=0.2), sqrt(2)),
    "tanh": Activation(jnp.tanh),
    "sigmoid": Activation(jax.nn.sigmoid),
    "elu": Activation(jax.nn.elu),
    "selu": Activation(jax.nn.selu),
    "softplus": Activation(jax.nn.softplus),
    "swish": Activation(jax.nn.silu, sqrt(2)),
}


def bias_act(x: Array, bias: Array | None = None, act: str = "linear", clamp: float | None = None) -> Array:
    """x: [B, ..., C]; bias: [C] or None. Returns the shape and dtype of x. Raises ValueError for an unknown `act`."""
    if act not in ACTIVATIONS:
        raise ValueError(f"expected an activation out of {', '.join(ACTIVATIONS)}, got {act!r}.")
    function, gain = ACTIVATIONS[act]
    y = function(x if bias is None else x + bias.astype(x.dtype)) * gain
    return y if clamp is None else jnp.clip(y, -clamp, clamp)
