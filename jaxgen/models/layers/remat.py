"""Rematerialization: activations inside a block are computed again for its gradient, instead of kept until then."""

import flax.linen as nn


def rematerialized(block: type[nn.Module], remat: bool, functions: tuple[int, ...] = ()) -> type[nn.Module]:
    """`block`, of which the backward pass keeps only the inputs if `remat`: the same values, gradients, dropout masks
    and parameter names, for one more forward pass of the block. `functions` are the positions of those arguments of its
    call that are functions, self being 0. XLA's CPU backend drops the barriers between the two computations before it
    plans memory, so that this saves memory on accelerators only.

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """
    if not remat:
        return block
    made: type[nn.Module] = nn.remat(block, static_argnums=functions)
    made.__name__ = block.__name__  # linen names the parameters of a block after its class
    return made
