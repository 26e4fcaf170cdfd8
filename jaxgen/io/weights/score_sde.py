"""Checkpoints of score_sde (Song et al. 2021), of its PyTorch and its JAX implementation.

PyTorch  {"model": parameters, "ema": {"shadow_params": a list}, "optimizer": Adam's state_dict, "step": int}
JAX      {"step": int, "optimizer": {"target": parameters, "state": Adam's}, "params_ema": parameters, ...}
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.io.weights import score_sde_names as names
from jaxgen.io.weights.flax_file import is_msgpack, read_msgpack
from jaxgen.io.weights.torch_file import is_torch, read_torch

FROZEN = re.compile(r"all_modules\.\d+\.W")  # Fourier frequencies

Tree = dict[str, Any]
Flat = Mapping[tuple[str, ...], Any]


class Weights(NamedTuple):
    """What a checkpoint holds of a training, in the parameter tree of one network: float32 numpy arrays.

    params, ema: the parameters and their moving average. moments: Adam's averages of the gradients and of their
    squares, or None where the checkpoint has none. step: how many steps were taken.
    """

    step: int
    params: Tree
    ema: Tree
    moments: tuple[Tree, Tree] | None


class Network(NamedTuple):
    """shapes: the parameter tree of a network, with a `shape` at every leaf. calls: the names of its modules, in the
    order in which it calls them."""

    shapes: Tree
    calls: Sequence[str]


def read(path: Path, network: Network) -> Weights:
    """The checkpoint at `path` for `network`. Raises ValueError if it is none of score_sde's, is damaged, or is of
    another network."""
    if not is_torch(path) and not is_msgpack(path):
        raise ValueError(
            f"expected a file of torch.save or of flax.serialization at {path}, but it begins as neither: take the "
            "checkpoint that a training of score_sde wrote."
        )
    read_file, convert = (read_torch, from_torch) if is_torch(path) else (read_msgpack, from_flax)
    content = read_file(path)
    try:
        return convert(content, network)
    except Misfit as error:
        raise ValueError(f"the checkpoint {path} {error}: choose the --config it was trained with.") from error
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        keys = ", ".join(sorted(map(str, content))[:8]) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"expected a training checkpoint of score_sde at {path}, with its model, ema, optimizer and step, got "
            f"{keys[:200]}: take the file that its training wrote."
        ) from error


class Misfit(ValueError):
    """A checkpoint of another network."""


def from_torch(content: Any, network: Network) -> Weights:
    """The weights of a PyTorch checkpoint."""
    model = {
        name.removeprefix("module."): array for name, array in content["model"].items() if not name.endswith("sigmas")
    }
    owned = [name for name in network.calls if name in network.shapes]
    paths = names.flax_paths(model, owned)
    trained = [name for name in model if not FROZEN.fullmatch(name)]
    unused = {} if "Dense_0" in network.shapes else {name for name, path in paths.items() if path[1:2] == ("Dense_0",)}

    def tree(values: Mapping[str, Any]) -> Tree:
        """Parameters by torch name; those without a value are frozen and keep the model's."""
        filled = {name: values.get(name, array) for name, array in model.items() if name not in unused}
        return fit({paths[name]: names.relaid(paths[name], array) for name, array in filled.items()}, network.shapes)

    params, average = tree(model), content["ema"]["shadow_params"]
    if len(average) != len(trained):
        raise Misfit(f"averages {len(average)} parameters where its model trains {len(trained)}")
    moments = content.get("optimizer", {}).get("state", {})

    def moment(kind: str) -> Tree:
        known = {name: moments[i][kind] for i, name in enumerate(model) if i in moments}
        return tree({name: known.get(name, np.zeros_like(array)) for name, array in model.items()})

    return Weights(
        count(content["step"]),
        params,
        tree(dict(zip(trained, average, strict=True))),
        (moment("exp_avg"), moment("exp_avg_sq")) if moments else None,
    )


def from_flax(content: Any, network: Network) -> Weights:
    """The weights of a JAX checkpoint."""
    optimizer = content["optimizer"]
    target, average = (fit(flat(tree), network.shapes) for tree in (optimizer["target"], content["params_ema"]))
    moments = flat(optimizer.get("state", {}).get("param_states", {}))

    def moment(kind: str) -> Tree:
        return fit({path[:-1]: array for path, array in moments.items() if path[-1] == kind}, network.shapes)

    return Weights(
        count(content["step"]), target, average, (moment("grad_ema"), moment("grad_sq_ema")) if moments else None
    )


def fit(arrays: Flat, shapes: Tree) -> Tree:
    """The arrays as a tree of exactly these shapes, float32; axes of length one in front are dropped, with which the
    scales of norms are stored. Raises Misfit."""
    wanted = {path: tuple(leaf.shape) for path, leaf in flatten_dict(shapes).items()}
    fitted = {}
    for path, array in arrays.items():
        name = "/".join(path)
        if path not in wanted:
            raise Misfit(f"has {name} of shape {array.shape}, which the network of the configuration lacks")
        if array.shape != (1,) * (array.ndim - len(wanted[path])) + wanted[path]:
            raise Misfit(f"has {name} of shape {array.shape}, the network of the configuration of {wanted[path]}")
        if not (np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"):
            raise Misfit(f"has {name} of dtype {array.dtype}, where the network has real numbers")
        fitted[path] = np.ascontiguousarray(array.reshape(wanted[path]), np.float32)
    missing = [path for path in wanted if path not in fitted]
    if missing:
        shape = wanted[missing[0]]
        raise Misfit(f"lacks {'/'.join(missing[0])} of shape {shape}, which the network of the configuration has")
    return unflatten_dict(fitted)


def flat(tree: Any) -> Flat:
    """The leaves of nested dicts by their paths."""
    if not isinstance(tree, dict):
        raise TypeError(f"expected nested dicts, got {type(tree).__name__}")
    return flatten_dict(tree)


def count(step: Any) -> int:
    """A number of steps."""
    number = np.asarray(step)
    if number.shape or number.dtype.kind not in "iu" or not 0 <= number < 2**31:
        raise TypeError("expected a number of steps")
    return int(number)
