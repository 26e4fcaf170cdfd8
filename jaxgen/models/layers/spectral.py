"""Spectral normalization: layers whose kernels have spectral norm one as matrices.

    W_sn = W / sigma(W)     v = W^T u / |W^T u|     u' = W v / |W v|     sigma(W) = u'^T W v

W: [out, rest], the kernel with its output first. u: [out], in the collection "spectral", is carried from step to step,
so that one power iteration a forward pass is enough. A forward pass in training stores u', where the collection may
move; any other makes the same iteration and stores nothing. u and v are constants of the gradient. All of it is float32
for any compute dtype.
Every forward pass of a training step starts from the u before the step: passes over real images, fakes and augmented
views have the same W_sn.

Source: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (1802.05957), eq. (8) and
algorithm 1; in evaluation as in BigGAN (Brock et al. 2019).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
from jax import Array
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from jaxgen.models.layers.conv import Conv, conv_general_dilated
from jaxgen.spectral_norm import power_iteration, unit


class Spectral(nn.Module):
    """What a layer with one kernel inherits from to have it normalized."""

    train: bool = False

    @nn.nowrap
    def param(self, name: str, init_fn: Any, *init_args: Any, **init_kwargs: Any) -> Any:
        value = super().param(name, init_fn, *init_args, **init_kwargs)
        return value if name == "bias" else self.normalized(value)

    @nn.nowrap
    def normalized(self, kernel: Array) -> Array:
        w = self.matrix(kernel)
        normal: Initializer = nn.initializers.normal(1.0)
        u = self.variable("spectral", "u", lambda: unit(normal(self.make_rng("params"), w.shape[:1], w.dtype)))
        sigma, new = power_iteration(w, u.value)
        if self.train and not self.is_initializing() and self.is_mutable_collection("spectral"):
            u.value = new
        return kernel / sigma

    @nn.nowrap
    def matrix(self, kernel: Array) -> Array:
        """[..., out] -> [out, rest]."""
        return kernel.reshape(-1, kernel.shape[-1]).T


class SpectralDense(Spectral, nn.Dense):
    """x W_sn + b."""


class SpectralConv(Spectral, nn.Conv):
    """x * W_sn + b."""

    conv_general_dilated: Any = conv_general_dilated


class SpectralEmbed(Spectral, nn.Embed):
    """Rows of a table [num_embeddings, features] of spectral norm one."""

    @nn.nowrap
    def matrix(self, kernel: Array) -> Array:
        return kernel


class Kernels(NamedTuple):
    """The makers of a network's layers: dense(features), conv(features, size), embed(num_embeddings, features)."""

    dense: Callable[..., nn.Module]
    conv: Callable[..., nn.Module]
    embed: Callable[..., nn.Module]


def kernels(spectral: bool, train: bool, dtype: DTypeLike | None = None) -> Kernels:
    """The layers of a network, all of them spectrally normalized or none."""
    if spectral:
        made = SpectralDense, SpectralConv, SpectralEmbed
        return Kernels(*(partial(layer, train=train, dtype=dtype) for layer in made))
    return Kernels(*(partial(layer, dtype=dtype) for layer in (nn.Dense, Conv, nn.Embed)))
