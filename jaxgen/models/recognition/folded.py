"""Published state dicts of networks whose convolutions have batch normalization folded in.

    w' = w g,  b' = b - mean g,  g = scale / sqrt(var + epsilon)

For inference only: the moments are those that were kept in training.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

LEAVES = "weight", "bias", "running_mean", "running_var"


class Published:
    """A state dict in PyTorch's layout from which arrays are taken by name and shape. Raises ValueError where one is
    missing or of another shape; `network` says what was expected, `file` where it is."""

    def __init__(self, state: Mapping[str, np.ndarray], network: str, file: str):
        self.state, self.network, self.file = state, network, file
        self.used = {name for name in state if str(name).endswith(".num_batches_tracked")}

    def take(self, name: str, *shape: int) -> np.ndarray:
        """The array of this name and shape, float64."""
        if name not in self.state or np.shape(self.state[name]) != shape:
            found = f"has shape {np.shape(self.state[name])}, not {shape}" if name in self.state else "is missing"
            raise ValueError(f"expected the weights of {self.network}, but {name} {found}: take {self.file}.")
        self.used.add(name)
        return np.asarray(self.state[name], np.float64)

    def kernel(self, name: str, *shape: int) -> np.ndarray:
        """The weight of a linear map or convolution as linen has it, [..., inputs, features], float64."""
        *window, inputs, features = shape
        weight = self.take(name, features, inputs, *window)
        return weight.transpose(*range(2, weight.ndim), 1, 0)

    def folded(self, conv: str, norm: str, shape: tuple[int, ...], epsilon: float) -> dict[str, np.ndarray]:
        """Kernel of this shape and bias of the convolution `conv` with the batch normalization `norm`."""
        scale, bias, mean, variance = (self.take(f"{norm}.{leaf}", shape[-1]) for leaf in LEAVES)
        gain = scale / np.sqrt(variance + epsilon)
        kernel = self.kernel(f"{conv}.weight", *shape) * gain
        return {"kernel": kernel, "bias": bias - mean * gain}

    def variables(
        self, module: nn.Module, shape: tuple[int, ...], layer: Callable[[str, tuple[int, ...]], dict[str, np.ndarray]]
    ) -> dict[str, Any]:
        """The variables of `module`, called with an array of this shape: of its layer "a.b" what `layer` gives for this
        name and the shape of the kernel, as float32. Raises ValueError where arrays are left over."""

        def arrays(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
            if "kernel" in part:
                return {leaf: x.astype(np.float32) for leaf, x in layer(name, part["kernel"].shape).items()}
            return {key: arrays(f"{name}.{key}".lstrip("."), below) for key, below in part.items()}

        image = jax.ShapeDtypeStruct(shape, jnp.float32)
        params = arrays("", jax.eval_shape(module.init, jax.random.key(0), image)["params"])
        self.finish()
        return {"params": params}

    def finish(self) -> None:
        """Raises ValueError where an array was not taken: it is of another network."""
        if other := sorted(map(str, self.state.keys() - self.used)):
            raise ValueError(f"expected the weights of {self.network}, but it has no {other[0]}: take {self.file}.")
