"""The command line with a network named hashed: a convolution whose weights follow from its name.

It looks at 16 images at a time, keeps what it has seen after each of these, and notes in the file $ROWS how many it is
about to see and which files it writes. With $PAUSE it waits so many seconds before each.
"""

import json
import os
import sys
import time
from typing import Any

import hashed
import jax
import jax.numpy as jnp
import pytest

from jaxgen import cli
from jaxgen.commands import measure, metrics
from jaxgen.evaluate.stream import features, running
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.io import atomic

BLOCK = 16
KERNEL = hashed.tensor("hashed.weight", (8, 3, 3, 3)).transpose(2, 3, 1, 0)


def fn(params, images):
    x = images.astype(jnp.float32) / 255
    x = jax.nn.relu(jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
    return {"features": x.mean((1, 2)), "logits": 9 * x[:, 0, 0]}


def note(what: str, value: Any) -> None:
    with open(os.environ["ROWS"], "a") as file:
        file.write(json.dumps([what, value]) + "\n")


def install(patch: pytest.MonkeyPatch) -> None:
    """Have the command line know the network, and note what it does."""
    rebatched, opened = features.rebatched, atomic.opened

    def watched(parts, size):
        for block in rebatched(parts, size):
            note("saw", len(block))
            time.sleep(float(os.environ.get("PAUSE", 0)))
            yield block

    def noting(path):
        note("wrote", os.path.basename(path))
        return opened(path)

    patch.setitem(
        metrics.NETWORKS,
        "hashed",
        metrics.Network("hashed", "hashed", "hashed", "hashed.pth", batch=BLOCK, layers=metrics.CLASSES),
    )
    patch.setattr(measure, "open_network", lambda name, weights: Extractor(fn, KERNEL, "a hashed convolution, float32"))
    patch.setattr(features, "BLOCK", BLOCK)
    patch.setattr(features, "rebatched", watched)
    patch.setattr(running, "SHARE", 0)
    patch.setattr(atomic, "opened", noting)


if __name__ == "__main__":
    install(pytest.MonkeyPatch())
    sys.exit(cli.main())
