"""DINOv2: a vision transformer that learned from images alone.

    h = patches(x) + places,   h <- h + g1 attention(LN h),   h <- h + g2 F(LN h),   LN(h)

F has one hidden layer, or is a SwiGLU. The gains g1 and g2 (LayerScale) are folded into the last maps of their branches
by `variables`.

Source: Oquab et al. 2023, "DINOv2: Learning Robust Visual Features without Supervision" (2304.07193), without
registers. Weights as Meta publishes them (dinov2_vitl14_pretrain.pth) or as transformers keeps them, in its old or its
new layout (model.safetensors).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.models.layers.encoder import Block, Feedforward, Patches, SwiGLU
from jaxgen.models.layers.resize import cubic_weights, resized
from jaxgen.models.recognition.state_dict import depth, heads_of, patches, renamed, shaped, variables_of

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels in [0, 1]
NETWORK = "DINOv2 without registers (dinov2_vitl14_pretrain.pth, model.safetensors)"
EPSILON = 1e-6
RULES = (
    (r"^(?:embeddings\.)?mask_token$", ""),  # of its training
    (r"^(?:embeddings\.)?cls_token$", "patches.token"),
    (r"^(?:embeddings\.patch_embeddings\.projection|patch_embed\.proj)\.", "patches.map."),
    (r"^(?:embeddings\.position_embeddings|pos_embed)$", "places"),
    (r"^(?:layernorm|norm)\.", "norm_out."),
    (r"\.(?:layer_scale|ls)([12])\.(?:lambda1|gamma)$", r".gain\1"),
)


def whole(table: Array, height: int, width: int) -> Array:
    """The table [n, n, d] of places on a grid of [height, width] patches, spread over the grid as transformers does: by
    cubic interpolation with a = -3/4 that is not antialiased."""
    return resized(cubic_weights, table[None], height, width)[0]


def offset(table: Array, height: int, width: int) -> Array:
    """As `whole`, in steps of n / (height + 0.1) and n / (width + 0.1), the rule of Meta's code and of the published
    Fréchet distances. At 16 of 37 patches the two tables differ by up to 0.6 of their values' scale."""
    return resized(partial(cubic_weights, offset=0.1), table[None], height, width)[0]


class DINOv2(nn.Module):
    """x [B, H, W, 3], of mean `MEAN` and deviation `DEVIATION` a channel, H and W multiples of `patch` -> [B, 1 + H W /
    patch^2, width]. The first token is that of the image.

    side, patch            of the images that the table of places is made for, and of the squares they are cut into
    width, depth, heads    of the blocks, `hidden` features inside
    gated                  whether F is a SwiGLU, as in the giant
    spread                 the rule that spreads the table over other images: `offset` or `whole`
    """

    side: int = 518
    patch: int = 14
    width: int = 1024
    depth: int = 24
    heads: int = 16
    hidden: int = 4096
    gated: bool = False
    spread: Callable[[Array, int, int], Array] = offset

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width = (size // self.patch for size in x.shape[1:3])
        if (height * self.patch, width * self.patch) != x.shape[1:3]:
            raise ValueError(
                f"expected sides that are multiples of {self.patch}, got {x.shape[1:3]}: resize the images."
            )
        n = self.side // self.patch
        h = Patches(self.width, self.patch, name="patches")(x)
        places = self.param("places", nn.initializers.normal(0.02), (1 + n**2, self.width))
        if (height, width) != (n, n):
            grid = self.spread(places[1:].reshape(n, n, -1), height, width)
            places = jnp.concatenate([places[:1], grid.reshape(-1, self.width)])
        h = h + places
        feedforward = SwiGLU if self.gated else Feedforward
        for i in range(self.depth):
            h = Block(self.heads, partial(feedforward, self.hidden), EPSILON, name=f"block{i}")(h)
        return nn.LayerNorm(epsilon=EPSILON, use_fast_variance=False, name="norm_out")(h)


def dinov2(
    state: Mapping[str, np.ndarray], heads: int | None = None, spread: Callable[[Array, int, int], Array] = offset
) -> DINOv2:
    """The network whose weights these are, in any of the layouts: all sizes follow from them but the number of heads,
    one for every 64 features unless said."""
    state = named(state)
    width, _, patch, _ = shaped(state, "patches.map.weight", 4, NETWORK)
    hidden, _ = shaped(state, "block0.feedforward.expand.weight", 2, NETWORK)
    side = patches(state, NETWORK) * patch
    gated = "block0.feedforward.gate.weight" in state
    return DINOv2(side, patch, width, depth(state, NETWORK), heads_of(width, heads), hidden, gated, spread)


def variables(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `dinov2(state)`, in any of the layouts. Raises ValueError where it is another network's."""
    network = dinov2(state, heads=1)
    image = jax.ShapeDtypeStruct((1, network.side, network.side, 3), jnp.float32)
    return variables_of(network, image, folded(named(state)), NETWORK)


def named(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state` under the names of `DINOv2`, and the gains beside them."""
    found = renamed(state, RULES)
    token, places = (shaped(found, name, 3, NETWORK) for name in ("patches.token", "places"))
    found["patches.token"] = found["patches.token"].reshape(token[2])
    found["places"] = found["places"].reshape(places[1:])
    return found


def folded(named: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """g (W y + b) = (g W) y + g b for both gains of every block, in float64."""
    found = dict(named)
    for i in range(depth(named, NETWORK)):
        for gain, last in (("gain1", "attention.out"), ("gain2", "feedforward.contract")):
            (width,) = shaped(named, f"block{i}.{gain}", 1, NETWORK)
            g = found.pop(f"block{i}.{gain}").astype(np.float64)
            for name in (f"block{i}.{last}.weight", f"block{i}.{last}.bias"):
                if np.shape(found.get(name, 0))[:1] == (width,):
                    found[name] = (found[name].T * g).T.astype(np.float32)
    return found
