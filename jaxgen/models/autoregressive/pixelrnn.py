"""PixelRNN: LSTMs over the image, of which every output sees what comes before it.

    h = A_7x7 x,    h <- h + B_1x1 LSTM(B h + E[c]),    y = B_1x1 relu(B_1x1 relu(h))

A and B are convolutions under mask A and mask B. The Row LSTM sees a triangle above a pixel; the Diagonal BiLSTM sees
all that comes before it but one value: it is the sum of one LSTM from the upper left corner and of one from the upper
right, the latter shifted down by one row so that a pixel does not see those to its right. Under mask A, the value of
the last pixel of a row (of its last channel) enters the features of no pixel of that row, and in the next row those
near the right border alone: pixels further left than the kernel of mask A reaches are blind to it.

Source: van den Oord et al. 2016, "Pixel Recurrent Neural Networks" (1601.06759), sections 3.1 to 3.5 and table 1.
"""

from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.autoregressive.order import final
from jaxgen.models.autoregressive.windowed import Windowed
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.embeddings import class_embedding
from jaxgen.models.layers.masked_conv import MaskedConv
from jaxgen.models.layers.pixel_lstm import by_row, from_left, from_right
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.window import Recurrence, Window, whole


class RowLSTM(nn.Module):
    """[B, H, W, inputs] -> [B, H, W, width], with kernels of `size` pixels of a row."""

    width: int
    groups: int = 1
    size: int = 3
    num_classes: int = 0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, window: Window = whole) -> Array:
        gates = InputToState(self.width, self.size, self.groups, self.num_classes, self.dtype)(x, cond, window)
        return window.recurrent(by_row(state_kernel(self, self.size, self.width, gates)), gates)


class DiagonalBiLSTM(nn.Module):
    """[B, H, W, inputs] -> [B, H, W, width]."""

    width: int
    groups: int = 1
    num_classes: int = 0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, cond: Array | None = None, window: Window = whole) -> Array:
        def direction(name: str, layer: Callable[[Array], Recurrence]) -> Array:
            gates = InputToState(self.width, 1, self.groups, self.num_classes, self.dtype, name=name)(x, cond, window)
            return window.recurrent(layer(state_kernel(self, 2, self.width, gates, f"{name}_state")), gates)

        return direction("left", from_left) + direction("right", from_right)


class InputToState(nn.Module):
    """B h + E[c]: what the four gates are given, [B, H, W, 4 width]."""

    width: int
    size: int
    groups: int
    num_classes: int
    dtype: DTypeLike | None

    @nn.compact
    def __call__(self, x: Array, cond: Array | None, window: Window) -> Array:
        conv = MaskedConv(4 * self.width, self.size, groups=self.groups, parts=4, rows=0, dtype=self.dtype)
        gates: Array = conv(x, window)
        told = class_embedding(self.num_classes, 4 * self.width, cond, x.shape[0], self.dtype)
        return gates if told is None else gates + told[:, None, None]


def state_kernel(module: nn.Module, taps: int, width: int, like: Array, name: str = "state") -> Array:
    """The kernel of a state, [taps, width, 4 width]."""
    kernel: Array = module.param(name, nn.initializers.lecun_normal(in_axis=(0, 1)), (taps, width, 4 * width))
    return kernel.astype(like.dtype)


LAYERS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


class Block(nn.Module):
    """h + B_1x1 LSTM(h), [B, H, W, 2 width] -> the same."""

    kind: str
    width: int
    groups: int
    num_classes: int
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, cond: Array | None = None, keys: Array | None = None, window: Window = whole) -> Array:
        lstm = LAYERS[self.kind](self.width, self.groups, num_classes=self.num_classes, dtype=self.dtype)
        u = Dropout(self.dropout)(lstm(h, cond, window), keys)
        return h + MaskedConv(h.shape[-1], 1, groups=self.groups, dtype=self.dtype)(u)


class PixelRNN(Windowed):
    """Levels int [B, H, W, C] -> parameters of the likelihood [B, H, W, out_channels].

    kind: "row" or "diagonal"; width: h, blocks: how many; first: the kernel of mask A; head: channels before the last
    convolution. one_hot: levels come in as unit vectors, else as intensities. cond: classes int [B], num_classes or
    None for "no class"; keys: of dropout, one per example, None: none. With `remat` blocks are computed again for their
    gradient, which saves memory.

    A step of `start` and `step` computes one pixel: the Row LSTM keeps the states of the row above it, the Diagonal
    BiLSTM those of its left-hand LSTM above and to the left of it, and with the first pixel of a row its right-hand
    LSTM goes on by the row above, which is all there by then.
    """

    kind: str = "diagonal"
    width: int = 128
    blocks: int = 12
    first: int = 7
    head: int = 1024
    dropout: float = 0.0

    @nn.compact
    def through(self, window: Window, x: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        """The parameters of those pixels x that are seen through the window."""
        if self.kind not in LAYERS:
            raise ValueError(f"expected kind={' or '.join(LAYERS)} of a PixelRNN, got {self.kind!r}.")
        h = self.encode(x)
        h = MaskedConv(2 * self.width, self.first, strict=True, groups=self.groups, dtype=self.dtype)(h, window.image)
        block = rematerialized(Block, self.remat, (4,))
        for _ in range(self.blocks):
            h = block(self.kind, self.width, self.groups, self.num_classes, self.dropout, self.dtype)(
                h, cond, keys, window
            )
        h = MaskedConv(self.head, 1, groups=self.groups, dtype=self.dtype)(nn.relu(h))
        y: Array = MaskedConv(self.out_channels, 1, groups=self.groups)(final(nn.relu(h)))
        return y
