"""The noise levels of networks that are told one by its index."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array


def level_index(index: Array, network: str) -> Array:
    """`index` [B] if it is one, of an integer dtype; else ValueError, which says what fits `network`."""
    if not jnp.issubdtype(index.dtype, jnp.integer):
        raise ValueError(
            f"{network} is told the index of its noise level (int, 0 the noisiest), got {index.dtype}: use "
            "loss.label=reversed_index with a discretized process, such as sde=ncsn, or a network of continuous time."
        )
    return index


def level_at(sigmas: Sequence[float] | None, index: Array, network: str) -> Array:
    """sigmas[index], [B] float32: the levels descend, as networks that divide their output by sigma count them."""
    if sigmas is None or len(sigmas) == 0 or np.any(np.diff(sigmas) >= 0):
        got = "none" if not sigmas else f"{len(sigmas)} from {sigmas[0]:.3g} to {sigmas[-1]:.3g}"
        raise ValueError(
            f"{network} divides by the noise levels that its labels index: pass sigmas, descending; got {got}."
        )
    return jnp.asarray(sigmas, jnp.float32)[level_index(index, network)]
