"""CLIP as a source of features: images, and texts, in the space that they share.

    pixels -> side x side by Pillow -> (x / 255 - mean) / deviation -> vision transformer -> "features" [B, d]

The features are the embeddings as the network gives them, of no particular length.
"""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from jaxgen.data.clip_tokenizer import Tokenizer, checksum, open_tokenizer
from jaxgen.evaluate.distribution.blocks import blocks
from jaxgen.evaluate.extractors.labels import UNVERIFIED, published, sized
from jaxgen.evaluate.stream.features import BATCH, Extractor, Layers, extract
from jaxgen.evaluate.text_image import cosines
from jaxgen.io.location import location
from jaxgen.io.weights import Weights, open_weights
from jaxgen.models.layers.causal_attention import gelu, quick_gelu
from jaxgen.models.recognition import clip as vision
from jaxgen.models.text import clip as text
from jaxgen.parallel.batched import batched

Texts = Callable[[Sequence[str]], np.ndarray]  # n texts -> their embeddings [n, d]


def resized_then_cut(image: Image.Image, side: int) -> Image.Image:
    """The shorter side to `side`, then the middle square: the preprocessing of CLIP itself."""
    shorter = min(image.size)
    width, height = (int(side * size / shorter) for size in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def cut_then_resized(image: Image.Image, side: int) -> Image.Image:
    """The middle square, then to `side`: the preprocessing of CMMD."""
    shorter = min(image.size)
    left, top = ((size - shorter) // 2 for size in image.size)
    return image.crop((left, top, left + shorter, top + shorter)).resize((side, side), Image.Resampling.BICUBIC)


RULES = {"clip": resized_then_cut, "cmmd": cut_then_resized}
ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": gelu}
OPENAI = "quick_gelu"
SIDE = 224  # what a published name leaves out: ViT-L/14, but ViT-L/14-336
WIDEST = 1024  # of OpenAI's; wider ones have heads of other sizes
PUBLISHED = {"B/32": "40d36571", "L/14": "b8cca3fd", "L/14-336": "3035c92b"}  # how checksums of OpenAI's files begin


def open(path: str | os.PathLike, rule: str = "clip", activation: str | None = None) -> Extractor:
    """The images' part of the weights in the published file `path`: ViT-B-32.pt, ViT-L-14-336px.pt or model.safetensors
    of the same. Raises ValueError where it is another network's.

    rule        one of RULES, matters for rectangles: CLIPScore is of "clip", CMMD of "cmmd"
    activation  one of ACTIVATIONS; None: see `activation_of`
    """
    return extractor(open_weights(path), rule, activation or activation_of(path))


def activation_of(path: str | os.PathLike) -> str:
    """OpenAI's, unless a config.json of transformers beside the weights says otherwise: weights that others have
    trained, as LAION's, may need "gelu", and no file of weights tells. Raises ValueError where it says neither."""
    beside = location(path).with_name("config.json")
    if not beside.exists():
        return OPENAI
    try:
        config = json.loads(beside.read_text())
        parts = [config[part] for part in ("vision_config", "text_config") if part in config] or [config]
        found = {part.get("hidden_act", OPENAI) for part in parts}
        if len(found) == 1 and found <= {*ACTIVATIONS}:
            return str(*found)
        reason = f"its hidden_act is {' and '.join(sorted(map(str, found)))}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
    raise ValueError(
        f"expected the configuration of a CLIP, with hidden_act {' or '.join(ACTIVATIONS)}, in {beside}, but {reason}: "
        "fetch it again, or take it away."
    )


def extractor(weights: Weights, rule: str = "clip", activation: str = OPENAI) -> Extractor:
    """See `open`."""
    for what, value, known in (("input", rule, RULES), ("activation", activation, ACTIVATIONS)):
        if value not in known:
            raise ValueError(f"the {what} of CLIP must be {' or '.join(known)}, got {value!r}.")
    tower = vision.vision_tower(weights.state, nonlinearity=ACTIVATIONS[activation])
    if tower.width > WIDEST:
        raise ValueError(f"expected a CLIP of OpenAI, of at most {WIDEST} features, got {tower.width}: take ViT-L/14.")

    def fn(params: Any, images: Array) -> Layers:
        x = (images.astype(jnp.float32) / 255 - jnp.array(vision.MEAN)) / jnp.array(vision.DEVIATION)
        with jax.default_matmul_precision("highest"):
            found: Any = tower.apply(params, x)
        return {"features": found.embeds}

    size = f"ViT width {tower.width}, depth {tower.depth}, patch {tower.patch}"
    label, note = labelled(tower, activation, weights)
    name = f"CLIP {size}, {activation}, input {tower.side} px {rule}, weights sha256 {weights.sha256}, float32{note}"
    prepare = partial(prepared, RULES[rule], tower.side)
    return Extractor(fn, vision.variables(weights.state), name, prepare, weights.sha256, label=label)


def labelled(tower: vision.VisionTower, activation: str, weights: Weights) -> tuple[str, str]:
    """The label of the network, and what the protocol must say of its weights: in OpenAI's layout they are OpenAI's or
    not, in that of transformers, whose files have no known checksum, nobody can tell."""
    size = sized(tower.width, tower.depth, tower.patch) + f"-{tower.side}" * (tower.side != SIDE)
    label = f"CLIP-{size}" + f"-{activation}" * (activation != OPENAI)
    if size in PUBLISHED and any(name.startswith("visual.") for name in weights.state):
        return published(label, (PUBLISHED[size], weights.sha256)), ""
    return label, UNVERIFIED


def prepared(rule: Callable[[Image.Image, int], Image.Image], side: int, images: np.ndarray) -> np.ndarray:
    """uint8 [b, H, W, 3] -> uint8 [b, side, side, 3], bicubic, antialiased and rounded after each of the two passes."""
    if images.shape[1:3] == (side, side):
        return images
    return np.stack([np.asarray(rule(Image.fromarray(image), side)) for image in images])


class Clip(NamedTuple):
    """Both parts of one file, and the checksum of the vocabulary that texts are read with."""

    images: Extractor
    texts: Texts
    vocabulary: str


def open_clip(path: str | os.PathLike, vocabulary: str | os.PathLike, activation: str | None = None) -> Clip:
    """Images as `open` has them by the rule of CLIP itself, and texts, read with the `vocabulary` that
    `jaxgen.data.clip_tokenizer.open_tokenizer` takes."""
    weights, activation = open_weights(path), activation or activation_of(path)
    images = extractor(weights, "clip", activation)
    return Clip(images, texts(weights, open_tokenizer(vocabulary), activation), checksum(vocabulary))


def texts(weights: Weights, tokenizer: Tokenizer, activation: str = OPENAI) -> Texts:
    """The texts' part of the weights. Raises ValueError where the tokenizer has another vocabulary."""
    tower = text.text_tower(weights.state, nonlinearity=ACTIVATIONS[activation])
    size = int(tokenizer([""]).max()) + 1  # the end of a text is the last of the vocabulary
    if size != tower.vocabulary:
        raise ValueError(f"expected a vocabulary of {tower.vocabulary} tokens, got {size}: take that of the network.")
    params = text.variables(weights.state)

    def fn(params: Any, keys: Array, ids: Array) -> Any:
        with jax.default_matmul_precision("highest"):
            found: Any = tower.apply(params, ids)
        return found.embeds

    run = batched(fn)

    def embed(read: Sequence[str]) -> np.ndarray:
        ids = tokenizer(read)
        if not len(ids):
            return np.zeros((0, tower.embedding or tower.width), np.float32)
        found: np.ndarray = run(params, 0, (ids,), len(ids), BATCH)
        return found

    return embed


def scorer(clip: Clip, prefix: str = "") -> Callable[[Any, Sequence[str]], np.ndarray]:
    """(images uint8 [n, H, W, 3], which may be read in slices, n prompts) -> their cosines [n], `prefix` before each
    prompt."""

    def score(images: Any, prompts: Sequence[str]) -> np.ndarray:
        seen = [layers["features"] for layers in extract(clip.images, (rows for _, rows in blocks(images)))]
        return np.asarray(cosines(np.concatenate(seen), clip.texts([prefix + prompt for prompt in prompts])))

    return score
