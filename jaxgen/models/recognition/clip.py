"""CLIP's vision transformer: images into the space they share with texts.

    h = LN(patches(x) + places),   blocks,   embeds = W LN(h of the first token)

Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision" (2103.00020),
section 2.4. Weights as OpenAI publishes them (ViT-B-32.pt) or as transformers keeps them (model.safetensors).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.models.layers.causal_attention import quick_gelu
from jaxgen.models.layers.encoder import Block, Feedforward, Patches
from jaxgen.models.recognition.state_dict import depth, heads_of, patches, projected, shaped, variables_of

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of pixels in [0, 1]
NETWORK = "a vision transformer of CLIP (ViT-L-14.pt, model.safetensors)"
RULES = (
    (r"^(?!vision_model\.|visual).*", ""),  # the texts' part
    (r".*\.position_ids$", ""),
    (r"^visual(?:_projection(\.weight)|\.proj)$", r"projection\1"),
    (r"^(?:vision_model\.(?:embeddings\.)?|visual\.)", ""),
    (r"^class_embedding$", "patches.token"),
    (r"^(?:patch_embedding|conv1)\.", "patches.map."),
    (r"^position(?:_embedding\.weight|al_embedding)$", "places"),
    (r"^(?:pre_layrnorm|ln_pre)\.", "norm_in."),
    (r"^(?:post_layernorm|ln_post)\.", "norm_out."),
)


class Seen(NamedTuple):
    """What the tower makes of B images: its last `tokens` [B, 1 + patches, width], before any norm, and `embeds` [B,
    d], not normalised."""

    tokens: Array
    embeds: Array


class VisionTower(nn.Module):
    """x [B, side, side, 3], of mean `MEAN` and deviation `DEVIATION` a channel -> Seen.

    side, patch            of the image, and of the squares it is cut into
    width, depth, heads    of the blocks, `hidden` features inside
    embedding              the space of images and texts
    nonlinearity           OpenAI trained with quick_gelu, others with gelu
    """

    side: int = 224
    patch: int = 32
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    embedding: int = 512
    nonlinearity: Callable[[Array], Array] = quick_gelu

    @nn.compact
    def __call__(self, x: Array) -> Seen:
        if x.shape[1:] != (self.side, self.side, 3):
            raise ValueError(f"expected images {(self.side, self.side, 3)}, got {x.shape[1:]}: resize them.")
        norm = partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)
        h = Patches(self.width, self.patch, use_bias=False, name="patches")(x)
        h = h + self.param("places", nn.initializers.normal(0.02), h.shape[1:])
        h = norm(name="norm_in")(h)
        for i in range(self.depth):
            h = Block(self.heads, partial(Feedforward, self.hidden, self.nonlinearity), name=f"block{i}")(h)
        embeds = nn.Dense(self.embedding, use_bias=False, name="projection")(norm(name="norm_out")(h[:, 0]))
        return Seen(h, embeds)


def vision_tower(
    state: Mapping[str, np.ndarray],
    heads: int | None = None,
    nonlinearity: Callable[[Array], Array] = quick_gelu,
) -> VisionTower:
    """The tower whose weights these are, in either layout: all sizes follow from them but the number of heads, one for
    every 64 features unless said."""
    state = projected(state, RULES)
    width, _, patch, _ = shaped(state, "patches.map.weight", 4, NETWORK)
    hidden, _ = shaped(state, "block0.feedforward.expand.weight", 2, NETWORK)
    embedding, _ = shaped(state, "projection.weight", 2, NETWORK)
    side = patches(state, NETWORK) * patch
    return VisionTower(
        side, patch, width, depth(state, NETWORK), heads_of(width, heads), hidden, embedding, nonlinearity=nonlinearity
    )


def variables(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `vision_tower(state)`, in either layout; what is of the texts is passed by. Raises ValueError
    where it is another network's."""
    tower = vision_tower(state, heads=1)
    image = jax.ShapeDtypeStruct((1, tower.side, tower.side, 3), jnp.float32)
    return variables_of(tower, image, projected(state, RULES), NETWORK)
