"""State dicts that number their layers, as torchvision's do."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.models.recognition.state_dict import variables_of


def variables(
    module: nn.Module, shape: tuple[int, ...], names: Mapping[str, str], state: Mapping[str, Any], network: str
) -> dict[str, Any]:
    """The variables of `module`, called with an array of this shape, out of a state dict with weights and biases, that
    of its layer "a.b" under names["a.b"]. What else it has is passed by. Raises ValueError where it is not of this
    network."""
    of = {f"{layer}.{leaf}": f"{name}.{leaf}" for layer, name in names.items() for leaf in ("weight", "bias")}
    found = {name: np.asarray(state[published]) for name, published in of.items() if published in state}
    return variables_of(module, jax.ShapeDtypeStruct(shape, jnp.float32), found, network)
