"""What a critic shows of its inside, for feature matching and perceptual distances."""

import flax.linen as nn
from jax import Array


def show(module: nn.Module, h: Array) -> Array:
    """h, which `module.apply(..., mutable=["features"])` returns as the next of the tuple features/blocks. It costs
    nothing where it is not asked for, and no variable of `module.init` holds it."""
    if not module.is_initializing():
        module.sow("features", "blocks", h)
    return h
