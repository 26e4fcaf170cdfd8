"""The generator of BigGAN: residual blocks told of the class and of a piece of z by every normalization.

    z = [z_0, z_1, ..., z_n],  y_i = [E c, z_i],  h_0 = W z_0,  h_i = block_i(h_{i-1}, y_i),
    gamma_i = 1 + W y_i,  beta_i = V y_i

All kernels are spectrally normalized, E is not. Its critic is `ResNetCritic`. Without a shared embedding (the
CIFAR-10 network) the generator is a `ResNetGenerator` with spectral=True.

Source: Brock, Donahue and Simonyan 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
(1809.11096), section 3 and appendix B.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr, ndtri
from jax.typing import DTypeLike

from jaxgen.models.gan.resnet import GeneratorBlock, Init, bottom, orthogonal
from jaxgen.models.layers.batch_norm import BatchNorm, ConditionalBatchNorm
from jaxgen.models.layers.labels import labels
from jaxgen.models.layers.remat import rematerialized
from jaxgen.models.layers.self_attention import SelfAttention
from jaxgen.models.layers.spectral import kernels

LIMIT = 2.0  # of |z| at truncation 1-


def truncated(z: Array, truncation: float) -> Array:
    """N(0, 1) -> N(0, 1) given |z| <= 2 truncation, value by value and monotone; truncation 1 leaves z as it is.

    z' = Phi^-1((1 - u) Phi(-t) + u Phi(t)) with u = Phi(z), t = 2 truncation: the distribution that drawing values
    beyond t anew would give. The paper's threshold is t itself: its 0.5 is truncation 0.25 here.

    Source: the truncation trick, Brock et al. 2019, section 3.1.
    """
    if not 0 < truncation <= 1:
        raise ValueError(f"expected a truncation in (0, 1], where 1 is none, got {truncation}.")
    if truncation == 1:
        return z
    low, high = ndtr(jnp.array([-LIMIT, LIMIT], z.dtype) * truncation)
    return ndtri(low + (high - low) * ndtr(z))


class BigGANGenerator(nn.Module):
    """z: [B, latent], cond: int [B] -> images [B, *shape] in (-1, 1), float32.

    widths: channels at the bottom and after every doubling; their number divides latent. embedding: features of a
    class, shared by all blocks. attention: sides of feature maps that get self-attention. Batch statistics and power
    iterations move with `train`; `keys` are not used.
    """

    shape: tuple[int, int, int]
    num_classes: int
    latent: int = 120
    widths: tuple[int, ...] = (1536, 1536, 768, 384, 192, 96)
    embedding: int = 128
    attention: tuple[int, ...] = (64,)
    kernel_init: Init = orthogonal
    dtype: DTypeLike | None = None
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        z: Array,
        cond: Array | None = None,
        keys: Array | None = None,
        train: bool = False,
        truncation: float = 1.0,
    ) -> Array:
        label = labels(cond, self.num_classes, z.shape[0])
        if label is None or self.latent % len(self.widths):
            raise ValueError(
                f"BigGAN needs classes, and a latent size that its {len(self.widths)} widths divide, got "
                f"{self.num_classes} classes and {self.latent}."
            )
        dense, conv, _ = kernels(True, train, self.dtype)
        linear = partial(dense, use_bias=False, kernel_init=self.kernel_init(1.0))
        norm = partial(ConditionalBatchNorm, linear, train, dtype=self.dtype)
        shared = nn.Embed(self.num_classes, self.embedding, embedding_init=self.kernel_init(1.0), name="shared")(label)
        sides = bottom(self.shape, len(self.widths) - 1)
        z, *pieces = jnp.split(truncated(z, truncation), len(self.widths), axis=-1)
        first = dense(sides[0] * sides[1] * self.widths[0], kernel_init=self.kernel_init(1.0), name="linear")
        h = first(z).reshape(-1, *sides, self.widths[0])
        for width, piece in zip(self.widths[1:], pieces, strict=True):
            y = jnp.concatenate([shared, piece], axis=-1)
            h = rematerialized(GeneratorBlock, self.remat)(width, conv, norm, self.kernel_init)(h, y)
            if h.shape[1] in self.attention:
                h = SelfAttention(partial(conv, kernel_init=self.kernel_init(1.0)))(h)
        h = nn.relu(BatchNorm(train, dtype=self.dtype)(h))
        h = conv(self.shape[-1], (3, 3), kernel_init=self.kernel_init(1.0), name="output")(h)
        return jnp.tanh(h.astype(jnp.promote_types(h.dtype, jnp.float32)))
