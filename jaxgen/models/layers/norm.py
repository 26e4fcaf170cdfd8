"""Group normalization."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike


class GroupNorm(nn.Module):
    """scale (h - mean) / sqrt(var + epsilon) + bias, moments over the pixels and channels of a group.

    h: [B, ..., C], with `groups` groups, or min(C // 4, 32), as NCSN++ has it. The moments are float32 for any compute
    dtype, and are formed channel by channel first: two reductions and one multiply-add over h, which XLA fuses with
    what follows.

    Source: Wu and He 2018, "Group Normalization".
    """

    dtype: DTypeLike | None = None
    groups: int | None = None
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, h: Array) -> Array:
        batch, channels = h.shape[0], h.shape[-1]
        groups = min(channels // 4, 32) if self.groups is None else self.groups
        if groups == 0 or channels % groups:
            raise ValueError(
                f"expected a number of channels that min(channels // 4, 32) groups divide, got {channels}; "
                "use a multiple of 4 up to 128 and of 32 above"
                if self.groups is None
                else f"expected a number of channels that {groups} groups divide, got {channels}; use a multiple"
            )
        scale = self.param("scale", nn.initializers.ones_init(), (channels,))
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,))
        x = h.astype(jnp.promote_types(h.dtype, jnp.float32))

        def moment(y: Array) -> Array:
            per_channel = jnp.mean(y, tuple(range(1, y.ndim - 1)))
            return per_channel.reshape(batch, groups, -1).mean(-1, keepdims=True)

        mean = moment(x)
        var = jnp.maximum(moment(x * x) - mean * mean, 0.0)
        gain = lax.rsqrt(var + self.epsilon) * scale.reshape(groups, -1)
        shift = bias.reshape(groups, -1) - mean * gain
        shape = (batch, *(1,) * (h.ndim - 2), channels)
        return (x * gain.reshape(shape) + shift.reshape(shape)).astype(self.dtype or h.dtype)
