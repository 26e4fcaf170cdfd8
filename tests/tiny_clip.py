"""A small CLIP of hashed weights with the vocabulary of the tests, under transformers' names."""

import json
import struct

from conftest import GOLDEN
from hashed import tensor

VOCABULARY = GOLDEN / "metrics" / "clip_bpe_2000.txt.gz"
WIDTH, TOKENS = 64, 2000 + 512 + 2


def block(prefix):
    for layer in ("layer_norm1", "layer_norm2"):
        yield f"{prefix}.{layer}.weight", (WIDTH,)
        yield f"{prefix}.{layer}.bias", (WIDTH,)
    for layer, (outputs, inputs) in (
        *((f"self_attn.{part}", (WIDTH, WIDTH)) for part in ("q_proj", "k_proj", "v_proj", "out_proj")),
        ("mlp.fc1", (96, WIDTH)),
        ("mlp.fc2", (WIDTH, 96)),
    ):
        yield f"{prefix}.{layer}.weight", (outputs, inputs)
        yield f"{prefix}.{layer}.bias", (outputs,)


def state():
    """Its weights: one head, one block a tower, images of 32 pixels, 24 features."""
    norms = ("vision_model.pre_layrnorm", "vision_model.post_layernorm", "text_model.final_layer_norm")
    shapes = {
        "vision_model.embeddings.class_embedding": (WIDTH,),
        "vision_model.embeddings.patch_embedding.weight": (WIDTH, 3, 16, 16),
        "vision_model.embeddings.position_embedding.weight": (5, WIDTH),
        "visual_projection.weight": (24, WIDTH),
        "text_model.embeddings.token_embedding.weight": (TOKENS, WIDTH),
        "text_model.embeddings.position_embedding.weight": (77, WIDTH),
        "text_projection.weight": (24, WIDTH),
        **{f"{norm}.{leaf}": (WIDTH,) for norm in norms for leaf in ("weight", "bias")},
        **dict(block("vision_model.encoder.layers.0")),
        **dict(block("text_model.encoder.layers.0")),
    }
    return {name: tensor(name, shape) for name, shape in shapes.items()}


def save(path, weights):
    """The weights in the file `path`, in the layout of safetensors."""
    entries, end = {}, 0
    for name, array in weights.items():
        entries[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [end, end := end + array.nbytes]}
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"".join(array.tobytes() for array in weights.values()))
    return path
