"""Published weights of a network, whatever the format of their file."""

import hashlib
import os
from typing import Any, NamedTuple

import numpy as np

from jaxgen.io.location import location
from jaxgen.io.weights.flat import flat
from jaxgen.io.weights.pickles import Refusal
from jaxgen.io.weights.safetensors_file import is_safetensors, read_safetensors
from jaxgen.io.weights.torch_file import is_torch, read_torch

MOST_UNFOLDED = 2  # bytes of arrays for each byte of the file: tied weights share one storage
WRAPPERS = "state_dict", "model"  # under which files of a training run keep the state dict of the network


class Weights(NamedTuple):
    """state: the flat state dict, {"block.conv.weight": array}, in the layout of its file; the arrays must not be
    written to. sha256: the checksum of the file, by which its publishers name it."""

    state: dict[str, np.ndarray]
    sha256: str


def open_weights(path: str | os.PathLike) -> Weights:
    """The weights in a file of torch.save (legacy or zip), of TorchScript or of safetensors. Nothing in it is run.

    Raises ValueError for any other file, a damaged one, one without arrays and one whose arrays are views of so few
    numbers that copies of them would be larger than the file by far; OSError where the file system does.
    """
    file = location(path)
    if is_safetensors(file):
        content: Any = read_safetensors(file)
    elif is_torch(file):
        content = read_torch(file)
    else:
        raise ValueError(f"expected weights at {path}, in a file of torch.save or safetensors: it begins otherwise.")
    for name in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    try:
        state = flat(content)
    except Refusal as error:
        raise ValueError(f"expected weights at {path}, but {error}: save the state_dict alone.") from error
    if "" in state or not state:
        raise ValueError(f"expected weights at {path}, but it has no arrays by name: save the state_dict alone.")
    unfolded, size = sum(array.nbytes for array in state.values()), file.stat().st_size
    if unfolded > MOST_UNFOLDED * size:
        raise ValueError(
            f"expected weights at {path}, but the arrays of its {size:,} bytes share their numbers and unfold to "
            f"{unfolded:,}: save the state_dict alone."
        )
    with file.open("rb") as stream:
        return Weights(state, hashlib.file_digest(stream, "sha256").hexdigest())
