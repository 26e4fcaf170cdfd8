"""The state dict of the archive inception-2015-12-05.pt under the names of pytorch-fid.

StyleGAN2-ADA and clean-fid keep the network in that archive, with the names of the TensorFlow graph: "layers.mixed_1.
tower.conv_1.weight" is "Mixed_5c.branch5x5_2.conv.weight". Its batch normalization has no scale.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, count

import numpy as np

STEM = "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"
LEAVES = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}


def numbered(name: str) -> Iterator[str]:
    """name, name_1, name_2, ..."""
    return chain([name], (f"{name}_{i}" for i in count(1)))


def tower(name: str, branch: str, depth: int) -> dict[str, str]:
    """Convolutions one after the other."""
    return {f"{name}.{conv}": f"{branch}_{i + 1}" for i, conv in zip(range(depth), numbered("conv"), strict=False)}


POOLED = {"tower_2.conv": "branch_pool"}
A = {"conv": "branch1x1"} | tower("tower", "branch5x5", 2) | tower("tower_1", "branch3x3dbl", 3) | POOLED
B = {"conv": "branch3x3"} | tower("tower", "branch3x3dbl", 3)
C = {"conv": "branch1x1"} | tower("tower", "branch7x7", 3) | tower("tower_1", "branch7x7dbl", 5) | POOLED
D = tower("tower", "branch3x3", 2) | tower("tower_1", "branch7x7x3", 4)
E = {
    "conv": "branch1x1",
    "tower_conv": "branch3x3_1",
    "tower_mixed_conv": "branch3x3_2a",
    "tower_mixed_conv_1": "branch3x3_2b",
    "tower_1_conv": "branch3x3dbl_1",
    "tower_1_conv_1": "branch3x3dbl_2",
    "tower_1_mixed_conv": "branch3x3dbl_3a",
    "tower_1_mixed_conv_1": "branch3x3dbl_3b",
    "tower_2_conv": "branch_pool",
}
BLOCKS = {"5b": A, "5c": A, "5d": A, "6a": B, "6b": C, "6c": C, "6d": C, "6e": C, "7a": D, "7b": E, "7c": E}
CONVOLUTIONS = dict(zip(numbered("conv"), STEM, strict=False)) | {
    f"{mixed}.{ours}": f"Mixed_{block}.{theirs}"
    for mixed, (block, names) in zip(numbered("mixed"), BLOCKS.items(), strict=False)
    for ours, theirs in names.items()
}
OUTPUT = {f"output.{leaf}": f"fc.{leaf}" for leaf in ("weight", "bias")}


def is_archive(state: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of the archive."""
    return "layers.conv.weight" in state


def renamed(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict under the names of pytorch-fid, with scales of one; names that are unknown stay as they are."""
    names = OUTPUT | {
        f"layers.{ours}.{leaf}": f"{theirs}.{name}"
        for ours, theirs in CONVOLUTIONS.items()
        for leaf, name in LEAVES.items()
    }
    found = {names.get(name, name): array for name, array in state.items()}
    scales = {f"{name}.bn.weight": f"{name}.bn.bias" for name in CONVOLUTIONS.values()}
    return found | {scale: np.ones_like(found[bias]) for scale, bias in scales.items() if bias in found}
