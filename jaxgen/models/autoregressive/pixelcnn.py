"""PixelCNN: masked convolutions, of which every output sees what comes before it in the image.

    h = A_7x7 x,    h <- h + B_1x1 relu(B_3x3 relu(B_1x1 relu(h)) + E[c]),    y = B_1x1 relu(B_1x1 relu(h))

A and B are convolutions under mask A and mask B. Stacked, they leave a blind spot above and to the right of a pixel,
which they never see; `gated_pixelcnn` has none.

Source: van den Oord et al. 2016, "Pixel Recurrent Neural Networks" (1601.06759), sections 3.3 to 3.5 and table 1; the
class, van den Oord et al. 2016 (1606.05328), eq. (4).
"""

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike

from jaxgen.models.autoregressive.order import final
from jaxgen.models.autoregressive.windowed import Windowed
from jaxgen.models.layers.dropout import Dropout
from jaxgen.models.layers.embeddings import class_embedding
from jaxgen.models.layers.masked_conv import MaskedConv
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.window import Window, whole


class Block(nn.Module):
    """[B, H, W, 2 width] -> the same, by way of `width` channels."""

    width: int
    size: int
    groups: int
    num_classes: int
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, h: Array, cond: Array | None = None, keys: Array | None = None, window: Window = whole) -> Array:
        def conv(features: int, size: int, u: Array) -> Array:
            y: Array = MaskedConv(features, size, groups=self.groups, dtype=self.dtype)(nn.relu(u), window)
            return y

        u = conv(self.width, self.size, conv(self.width, 1, h))
        told = class_embedding(self.num_classes, self.width, cond, h.shape[0], self.dtype)
        u = Dropout(self.dropout)(u if told is None else u + told[:, None, None], keys)
        return h + conv(h.shape[-1], 1, u)


class PixelCNN(Windowed):
    """Levels int [B, H, W, C] -> parameters of the likelihood [B, H, W, out_channels].

    width, blocks, size: h, how many blocks and their kernel; first: the kernel of mask A; head: channels before the
    last convolution. one_hot: levels come in as unit vectors, else as intensities. located: every pixel has a bias of
    its own after the first convolution. cond: classes int [B], num_classes or None for "no class"; keys: of dropout,
    one per example, None: none. With `remat` blocks are computed again for their gradient, which saves memory.

    A step of `start` and `step` computes one pixel.
    """

    width: int = 128
    blocks: int = 15
    size: int = 3
    first: int = 7
    head: int = 1024
    dropout: float = 0.0
    located: bool = False

    @nn.compact
    def through(self, window: Window, x: Array, cond: Array | None = None, keys: Array | None = None) -> Array:
        """The parameters of those pixels x that are seen through the window."""
        h = self.encode(x)
        h = MaskedConv(2 * self.width, self.first, strict=True, groups=self.groups, dtype=self.dtype)(h, window.image)
        if self.located:
            h += window.part(self.param("bias", nn.initializers.zeros_init(), (1, *self.shape[:2], 2 * self.width)))
        block = rematerialized(Block, self.remat, (4,))
        for _ in range(self.blocks):
            h = block(self.width, self.size, self.groups, self.num_classes, self.dropout, self.dtype)(
                h, cond, keys, window
            )
        h = MaskedConv(self.head, 1, groups=self.groups, dtype=self.dtype)(nn.relu(h))
        y: Array = MaskedConv(self.out_channels, 1, groups=self.groups)(final(nn.relu(h)))
        return y
