"""CLIP's text transformer: texts into the space they share with images, and the states that condition Stable Diffusion.

    h = tokens(ids) + places,   blocks in which no position sees a later one,   embeds = W LN(h) at the end of the text

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
from jaxgen.models.layers.encoder import Block, Feedforward
from jaxgen.models.recognition.state_dict import depth, heads_of, projected, shaped, variables_of

NETWORK = "the text transformer of CLIP (ViT-L-14.pt, model.safetensors)"
RULES = (
    (r"^(?:vision_model|visual|visual_projection)\..*", ""),  # the images' part
    (r"^(?:logit_scale|logit_bias|input_resolution|context_length|vocab_size)$", ""),
    (r".*\.(?:position_ids|attn_mask)$", ""),
    (r"^text_projection(\.weight)?$", r"projection\1"),
    (r"^text_model\.(?:embeddings\.)?", ""),
    (r"^token_embedding\.", "tokens."),
    (r"^position(?:_embedding\.weight|al_embedding)$", "places"),
    (r"^(?:final_layer_norm|ln_final)\.", "norm_out."),
)


class Read(NamedTuple):
    """What the tower makes of B texts: `states` [B, T, width] before each block and after the last; `last` [B, T,
    width], the last of them normed; `embeds` [B, d], not normalised, or where the weights have no projection, `last` at
    the end of the text."""

    states: tuple[Array, ...]
    last: Array
    embeds: Array


class TextTower(nn.Module):
    """ids int [B, T] with T <= context -> Read.

    The text ends at the first token `end`; where that is None at the greatest id, which the end is in CLIP's own
    vocabulary. What follows changes neither the states before it nor the embedding.

    vocabulary, context    ids are 0 ... vocabulary - 1, texts at most `context` of them
    width, depth, heads    of the blocks, `hidden` features inside
    embedding              the space of images and texts; 0: no projection
    nonlinearity           OpenAI trained with quick_gelu, others with gelu
    """

    vocabulary: int = 49408
    context: int = 77
    width: int = 512
    depth: int = 12
    heads: int = 8
    hidden: int = 2048
    embedding: int = 512
    nonlinearity: Callable[[Array], Array] = quick_gelu
    end: int | None = None

    @nn.compact
    def __call__(self, ids: Array) -> Read:
        b, t = ids.shape
        if t > self.context:
            raise ValueError(f"expected texts of at most {self.context} tokens, got {t}: cut them.")
        h = nn.Embed(self.vocabulary, self.width, name="tokens")(ids)
        h = h + self.param("places", nn.initializers.normal(0.01), (self.context, self.width))[:t]
        states, before = [h], jnp.tril(jnp.ones((t, t), bool))
        for i in range(self.depth):
            h = Block(self.heads, partial(Feedforward, self.hidden, self.nonlinearity), name=f"block{i}")(h, before)
            states.append(h)
        last = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name="norm_out")(h)
        place = jnp.argmax(ids if self.end is None else ids == self.end, axis=1)
        embeds = last[jnp.arange(b), place]
        if self.embedding:
            embeds = nn.Dense(self.embedding, use_bias=False, name="projection")(embeds)
        return Read(tuple(states), last, embeds)


def text_tower(
    state: Mapping[str, np.ndarray],
    heads: int | None = None,
    nonlinearity: Callable[[Array], Array] = quick_gelu,
    end: int | None = None,
) -> TextTower:
    """The tower whose weights these are, in either layout: all sizes follow from them but the number of heads, one for
    every 64 features unless said."""
    state = projected(state, RULES)
    vocabulary, width = shaped(state, "tokens.weight", 2, NETWORK)
    context, _ = shaped(state, "places", 2, NETWORK)
    hidden, _ = shaped(state, "block0.feedforward.expand.weight", 2, NETWORK)
    embedding = shaped(state, "projection.weight", 2, NETWORK)[0] if "projection.weight" in state else 0
    count = heads_of(width, heads)
    return TextTower(vocabulary, context, width, depth(state, NETWORK), count, hidden, embedding, nonlinearity, end)


def variables(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of `text_tower(state)`, in either layout; what is of the images is passed by. Raises ValueError
    where it is another network's."""
    return variables_of(
        text_tower(state, heads=1), jax.ShapeDtypeStruct((1, 1), jnp.int32), projected(state, RULES), NETWORK
    )
