"""State dicts of transformer encoders as their authors publish them, as variables of linen modules.

One block has many names: "encoder.layers.3.self_attn.q_proj.weight" of transformers, a third of
"transformer.resblocks.3.attn.in_proj_weight" of OpenAI, "blocks.3.attn.qkv.weight" of Meta. Here it is
"block3.attention.query.weight", as `jaxgen.models.layers.encoder` has it.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

Rules = Iterable[tuple[str, str]]

BLOCK = (
    (r"^(?:encoder\.layers?|transformer\.resblocks|blocks)\.(\d+)\.", r"block\1."),
    (r"\.(?:ln_|layer_norm|norm)([12])\.", r".norm\1."),
    (r"\.(?:self_attn|attention)\.(?:attention\.)?q(?:_proj|uery)\.", ".attention.query."),
    (r"\.(?:self_attn|attention)\.(?:attention\.)?k(?:_proj|ey)\.", ".attention.key."),
    (r"\.(?:self_attn|attention)\.(?:attention\.)?v(?:_proj|alue)\.", ".attention.value."),
    (r"\.(?:self_attn|attention|attn)\.(?:out_proj|o_proj|proj|output\.dense)\.", ".attention.out."),
    (r"\.attn\.(?:in_proj_|qkv\.)", ".attention.query,key,value."),
    (r"\.mlp\.(?:c_fc|fc1|up_proj)\.", ".feedforward.expand."),
    (r"\.mlp\.(?:c_proj|fc2|down_proj|w3|weights_out)\.", ".feedforward.contract."),
    (r"\.mlp\.gate_proj\.", ".feedforward.gate."),
    (r"\.mlp\.(?:w12|weights_in)\.", ".feedforward.gate,expand."),
)  # what stands between commas is one array, split along its rows
LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
MOST_BLOCKS = 64  # published encoders have up to 48


def renamed(state: Mapping[str, np.ndarray], rules: Rules) -> dict[str, np.ndarray]:
    """The arrays of `state` under the names that `rules`, patterns with what replaces them, and then those of a block
    give them. What is left without a name is dropped, and so are single numbers."""
    found: dict[str, np.ndarray] = {}
    for name, array in state.items():
        for pattern, replacement in (*rules, *BLOCK):
            name = re.sub(pattern, replacement, name)
        fused = re.search(r"\w+(?:,\w+)+", name)
        parts = fused.group().split(",") if fused else [""]
        if name and np.ndim(array) and len(array) % len(parts) == 0:
            for part, piece in zip(parts, np.split(array, len(parts)), strict=True):
                found[name.replace(fused.group(), part) if fused else name] = piece
    return found


def projected(state: Mapping[str, np.ndarray], rules: Rules) -> dict[str, np.ndarray]:
    """`renamed`, of a part of CLIP: what its authors have as "projection", on the right of features, as a weight."""
    found = renamed(state, rules)
    if "projection" in found:
        found["projection.weight"] = np.transpose(found.pop("projection"))
    return found


def depth(state: Mapping[str, np.ndarray], network: str) -> int:
    """How many blocks there are. Raises ValueError for more than `MOST_BLOCKS`, of which a file could name any number
    at no size."""
    count = len({found.group() for name in state if (found := re.match(r"block\d+\.", name))})
    if count > MOST_BLOCKS:
        raise ValueError(
            f"expected the weights of {network}, of at most {MOST_BLOCKS} blocks, got {count}: take its file."
        )
    return count


def heads_of(width: int, heads: int | None) -> int:
    """`heads`, or one for every 64 features, as CLIP of OpenAI and DINOv2 have them in all sizes."""
    count = heads or width // 64
    if not count or width % count:
        raise ValueError(f"expected a number of heads that divides the width {width}, got {count}: pass heads.")
    return count


def shaped(state: Mapping[str, np.ndarray], name: str, axes: int, network: str) -> tuple[int, ...]:
    """The shape of an array that the sizes of the network are read from, each 1 at least."""
    shape = np.shape(state[name]) if name in state else None
    if shape is None or len(shape) != axes or not all(shape):
        found = "it is missing" if shape is None else f"it has shape {shape}{', and is empty' * (not all(shape))}"
        raise ValueError(
            f"expected the weights of {network}, where {name} has {axes} axes, but {found}: take its file."
        )
    return shape


def patches(state: Mapping[str, np.ndarray], network: str) -> int:
    """How many patches a side the images have that "places", a table [1 + n^2, width], is made for."""
    positions, _ = shaped(state, "places", 2, network)
    n = math.isqrt(positions - 1)
    if n < 1 or 1 + n**2 != positions:
        raise ValueError(
            f"expected the weights of {network}, with places of one token and of a square of patches, got {positions}: "
            "take its file."
        )
    return n


def variables_of(module: nn.Module, inputs: Any, state: Mapping[str, np.ndarray], network: str) -> dict[str, Any]:
    """The variables of `module`, called with `inputs`, out of a state dict under its own names, in PyTorch's layout
    (convolutions OIHW, linear maps OI), float32. Raises ValueError where an array is missing, of another shape, or not
    of this network."""
    shapes = flatten_dict(jax.eval_shape(module.init, jax.random.key(0), inputs)["params"])
    found: dict[tuple[str, ...], np.ndarray] = {}
    for path, wanted in shapes.items():
        name = ".".join((*path[:-1], LEAVES.get(path[-1], path[-1])))
        array = np.asarray(state.get(name, ()))
        if path[-1] == "kernel":
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        if array.shape != wanted.shape:
            got = f"it has shape {array.shape}" if name in state else "it is missing"
            raise ValueError(
                f"expected the weights of {network}, where {name} is {wanted.shape}, but {got}: take its file."
            )
        found[path] = array.astype(np.float32)
    used = {".".join((*path[:-1], LEAVES.get(path[-1], path[-1]))) for path in shapes}
    if other := sorted(state.keys() - used):
        raise ValueError(f"expected the weights of {network}, but it has no {other[0]}: take its file.")
    return {"params": unflatten_dict(found)}
