"""Transformers over a sequence in which no position sees a later one, all at once or a piece at a time.

    h <- h + W_o attention(LN h),   h <- h + W_2 f(W_1 LN h),   position t attends to s <= t

Pieces come in order, with what the positions before them left behind: keys and values, the memory. The pass over the
whole sequence is the one piece of all of it.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jaxgen.models.layers.attention import attention
from jaxgen.models.layers.dropout import Dropout

Memory = tuple[Array, Array]  # keys and values, [B, heads, S, d] each: no product with them has to transpose them
gelu: Callable[[Array], Array] = partial(nn.gelu, approximate=False)


def quick_gelu(h: Array) -> Array:
    """h sigmoid(1.702 h), the approximation of GELU by its authors (Hendrycks and Gimpel 2016, section 2)."""
    return h * jax.nn.sigmoid(1.702 * h)


def memory(batch: int, length: int, heads: int, width: int, dtype: DTypeLike = jnp.float32) -> Memory:
    """Of a sequence of this length, before its first piece."""
    empty = jnp.zeros((batch, heads, length, width // heads), dtype)
    return empty, empty


class CausalAttention(nn.Module):
    """W_o attention(W_q h, W_k h, W_v h), each position to itself and to those before it: [B, T, width] -> (the same,
    memory).

    Without a memory, h is the whole sequence. With that of `memory`, h is the piece of it that begins at `position`
    (which may be traced), and what comes back remembers the piece. The logits are divided by `temperature`. heads must
    divide the width. out_init is that of W_o.
    """

    heads: int
    kernel_init: jax.nn.initializers.Initializer = nn.initializers.normal(0.02)
    out_init: jax.nn.initializers.Initializer = nn.initializers.normal(0.02)
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self, h: Array, past: Memory | None = None, position: ArrayLike = 0, temperature: float = 1.0
    ) -> tuple[Array, Memory]:
        b, t, width = h.shape
        if width % self.heads:
            raise ValueError(f"expected a number of heads that divides the width {width}, got {self.heads}.")

        def made(name: str) -> Array:
            y = nn.Dense(width, dtype=self.dtype, kernel_init=self.kernel_init, name=name)(h)
            return y.reshape(b, t, self.heads, -1)

        q, k, v = made("query") / temperature, made("key").swapaxes(1, 2), made("value").swapaxes(1, 2)
        if past is not None:
            k, v = (
                lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), position, axis=2)
                for old, new in zip(past, (k, v), strict=True)
            )
        before = jnp.arange(k.shape[2]) <= position + jnp.arange(t)[:, None]
        y = attention(q, k.swapaxes(1, 2), v.swapaxes(1, 2), before).reshape(b, t, width)
        return nn.Dense(width, dtype=self.dtype, kernel_init=self.out_init, name="out")(y), (k, v)


class CausalBlock(nn.Module):
    """A pre-norm block, [B, T, width] -> (the same, memory), called as `CausalAttention` is; keys: of dropout at the
    end of both branches. norm() makes its norms."""

    heads: int
    expansion: int = 4
    nonlinearity: Callable[[Array], Array] = gelu
    norm: Callable[..., nn.Module] = partial(nn.LayerNorm, epsilon=1e-5)
    kernel_init: jax.nn.initializers.Initializer = nn.initializers.normal(0.02)
    out_init: jax.nn.initializers.Initializer = nn.initializers.normal(0.02)
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        h: Array,
        keys: Array | None = None,
        past: Memory | None = None,
        position: ArrayLike = 0,
        temperature: float = 1.0,
    ) -> tuple[Array, Memory]:
        width = h.shape[-1]
        dense = partial(nn.Dense, dtype=self.dtype)
        y, present = CausalAttention(self.heads, self.kernel_init, self.out_init, self.dtype, name="attention")(
            self.norm(dtype=self.dtype, name="norm1")(h), past, position, temperature
        )
        h = h + Dropout(self.dropout, name="drop1")(y, keys)
        y = self.norm(dtype=self.dtype, name="norm2")(h)
        y = dense(self.expansion * width, kernel_init=self.kernel_init, name="expand")(y)
        y = dense(width, kernel_init=self.out_init, name="contract")(self.nonlinearity(y))
        return h + Dropout(self.dropout, name="drop2")(y, keys), present
