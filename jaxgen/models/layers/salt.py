"""What sets apart the draws of the layers of one network, all of which have the same key per example."""

import zlib

import flax.linen as nn


def salt(module: nn.Module) -> int:
    """The place of `module` in its network, its path, as a number for `jax.random.fold_in`."""
    return zlib.crc32("/".join(module.path).encode())
