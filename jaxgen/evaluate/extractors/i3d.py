"""The network of the FVD, I3D trained on Kinetics-400, with the resizing rules in use.

    clips uint8 [B, T, H, W, 3] -> frames of 224 x 224 by the rule -> 2 x / 255 - 1 -> features [B, 400]

The features are the logits, before the softmax. Checked against PyTorch with random weights under the names of
kinetics_i3d_pytorch; no published file was at hand, nor the resizing inside of StyleGAN-V's archive.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgen.evaluate.extractors import resize
from jaxgen.evaluate.extractors.labels import UNVERIFIED
from jaxgen.evaluate.stream.features import Extractor, Layers
from jaxgen.io.weights import open_weights
from jaxgen.models.recognition.i3d import FEWEST_FRAMES, FILE, I3D, SIDE, variables

RULES: dict[str, resize.Rule] = {
    "torch": resize.torch_bilinear,  # for StyleGAN-V's archive (Skorokhodov et al. 2022)
    "tf1": resize.tf1_bilinear,  # of the FVD's own program (Unterthiner et al. 2018)
}


def open(path: str | os.PathLike | None, rule: str = "torch") -> Extractor:
    """The network with the weights in the published file `path`: i3d_torchscript.pt of StyleGAN-V, or a state dict of
    kinetics_i3d_pytorch or pytorch-i3d. Raises ValueError where it holds another network, and without a path."""
    if path is None:
        raise ValueError(f"FVD needs the weights of I3D: fetch {FILE} of StyleGAN-V and pass --weights i3d=PATH.")
    return extractor(*open_weights(path), rule)


def extractor(state: Mapping[str, np.ndarray], sha256: str, rule: str = "torch") -> Extractor:
    """The network with the weights `state`, a published state dict, of a file with the checksum `sha256`."""
    if rule not in RULES:
        raise ValueError(f"the frames of I3D must be resized by {' or '.join(RULES)}, got {rule!r}.")
    resized = RULES[rule]

    def fn(params: Any, clips: Array) -> Layers:
        if clips.ndim != 5 or clips.shape[1] < FEWEST_FRAMES:
            raise ValueError(f"I3D takes clips [B, T, H, W, 3] of T >= {FEWEST_FRAMES} frames, got {clips.shape}.")
        frames = clips.reshape(-1, *clips.shape[2:]).astype(jnp.float32)
        x = resized(frames, SIDE, SIDE).reshape(*clips.shape[:2], SIDE, SIDE, 3)
        logits: Any = I3D().apply(params, 2 * x / 255 - 1)
        return {"features": logits, "logits": logits}

    name = f"I3D Kinetics-400, resized by {rule}, weights sha256 {sha256}, float32{UNVERIFIED}"
    return Extractor(fn, variables(state), name, weights=sha256, label="I3D")
