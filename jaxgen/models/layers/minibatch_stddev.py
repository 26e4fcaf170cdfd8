"""Minibatch standard deviation: a critic that sees how much the images of a group differ.

    s_nf = mean_{c, h, w of f} sqrt(var_g x_gnfchw + 1e-8)

over the g = 1..G members of group n, separately for each of F slices f of the channels; s is appended to x as F
constant channels. Example b is a member of group b mod (B / G).

Source: Karras et al. 2018, "Progressive Growing of GANs", section 3, with the groups of StyleGAN2.
"""

import jax.numpy as jnp
from jax import Array


def minibatch_stddev(x: Array, group: int | None = 4, slices: int = 1) -> Array:
    """[B, H, W, C] -> [B, H, W, C + slices], in groups of `group` examples, of the whole batch if that is None or
    larger. Raises ValueError where groups or slices do not divide what they should."""
    batch, height, width, channels = x.shape
    group = batch if group is None else min(group, batch)
    if batch % group or channels % slices:
        raise ValueError(
            f"expected a batch that groups of {group} divide and channels that {slices} slices divide, got a batch of "
            f"{batch} and {channels} channels; change the batch size, or the critic's group"
        )
    y = x.reshape(group, batch // group, height, width, slices, channels // slices)
    s = jnp.sqrt(jnp.var(y, axis=0) + 1e-8).mean((1, 2, 4))
    s = jnp.tile(s, (group, 1))[:, None, None, :]
    return jnp.concatenate([x, jnp.broadcast_to(s, (batch, height, width, slices))], axis=-1)
