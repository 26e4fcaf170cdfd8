"""What two sets of images can be compared by, known before anything is computed."""

import warnings
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jaxgen.commands.measure import only_statistics, stands
from jaxgen.commands.metrics import NETWORKS, PIXELS, Chosen
from jaxgen.evaluate.distribution.blocks import shape
from jaxgen.evaluate.paired.comparisons import Comparison, pairing
from jaxgen.evaluate.stream import statistics
from jaxgen.evaluate.stream.clips import Clips
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import Side

WIDEST = 1 << 14  # dimensions whose covariance is taken: 2 GB


def check(metrics: Sequence[Chosen], networks: Mapping[str, Extractor], real: Side, fake: Side) -> None:
    """Raises ValueError where these sides cannot be compared by these metrics."""
    layers: dict[str, dict[str, int]] = {}
    for one in metrics:
        for side, fields in ((real, one.metric.real), (fake, one.metric.fake)):
            alone = only_statistics(side)
            if alone and (one.network == PIXELS or {*fields} - {"moments"}):
                raise ValueError(f"{one.name} needs images, of which {side.name} has statistics only: give a folder.")
            if fields and not alone and len(side) < one.metric.fewest:
                raise ValueError(
                    f"{one.name} needs at least {one.metric.fewest} images of each side, got {len(side)} of "
                    f"{side.name}."
                )
            clips = NETWORKS[one.network].clips if one.network in NETWORKS else None
            if fields and not alone and (len(shape(side.rows)) == 5) != (clips is not None):
                kind = "images [n, H, W, C]" if clips is None else "videos [n, T, H, W, C]"
                raise ValueError(f"{one.name} is of {kind}, got {shape(side.rows)} of {side.name}.")
            if fields and not alone and clips is not None:
                Clips(side.rows, clips)[0:1]  # which are long enough
        if one.network == PIXELS and one.metric.real:
            sizes = [shape(side.rows)[1:] for side in (fake, real)]
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"{one.name} compares pixel by pixel: {fake.name} must have the shape {sizes[1]} of {real.name}, "
                    f"got {sizes[0]}."
                )
            if "moments" in one.metric.real and (d := int(np.prod(sizes[0]))) > WIDEST:
                raise ValueError(
                    f"{one.name} of {d:,} raw pixels would take {8 * d**2 / 1e9:,.0f} GB: take {one.name}@NETWORK."
                )
        if one.network == PIXELS:
            continue
        network = networks[one.network]
        if one.network not in layers:
            layers[one.network] = layers_of(network, one.network, real, fake)
        there = layers[one.network]
        if "moments" in one.metric.real and stands(real, one, network):
            check_statistics(one, network, real, there)
        if only_statistics(fake):
            check_statistics(one, network, fake, there)


def layers_of(network: Extractor, name: str, *sides: Side) -> dict[str, int]:
    """How many dimensions each layer has that `network` gives of images of these sides; none where there are none."""
    rows = next((side.rows for side in sides if len(side)), None)
    if rows is None:
        return {}
    clips = NETWORKS[name].clips
    first = (rows if clips is None else Clips(rows, clips))[0:1]
    image = network.prepare(np.broadcast_to(first, (*first.shape[:-1], 3)))
    found = jax.eval_shape(network.fn, network.params, image)
    return {layer: int(np.prod(x.shape[1:])) for layer, x in found.items()}


def check_statistics(one: Chosen, network: Extractor, side: Side, layers: Mapping[str, int]) -> None:
    """Raises ValueError where the statistics of `side` are of other features than `network` has in these `layers`, and
    warns where they do not say of which they are."""
    assert side.statistics is not None
    said = statistics.about(side.statistics)
    if said.features not in (None, network.name):
        raise ValueError(f"the statistics in {side.name} are of {said.features}, but these are {network.name}.")
    if one.layer not in said.layers:
        mean, spread = statistics.names(one.layer)
        held = ", ".join(sorted(said.layers)) or "no layer"
        raise ValueError(f"{one.name} needs {mean} and {spread} in {side.name}, which has statistics of {held}.")
    if layers.get(one.layer, said.layers[one.layer]) != said.layers[one.layer]:
        raise ValueError(
            f"the statistics in {side.name} are of {said.layers[one.layer]} {one.layer}, but those of {network.name} "
            f"are {layers[one.layer]}."
        )
    if said.features is None:
        warnings.warn(
            f"{side.name} does not say of which features its statistics are: they are taken for those of {one.name}, "
            "which is wrong if network, weights or resizing rule were others.",
            stacklevel=2,
        )


def check_pairs(names: Sequence[str], comparisons: Sequence[Comparison], real: Side, fake: Side) -> None:
    """Raises ValueError where image i of one side is not what image i of the other is to be compared with."""
    for name, one in zip(names, comparisons, strict=True):
        for side in (real, fake):
            if only_statistics(side):
                raise ValueError(f"{name} needs images, of which {side.name} has statistics only: give a folder.")
        pairing(real.files, fake.files)
        if shape(real.rows) != shape(fake.rows) or len(real) < 2:
            raise ValueError(
                f"{name} compares at least 2 images one to one, got {shape(fake.rows)} of {fake.name} beside "
                f"{shape(real.rows)} of {real.name}."
            )
        image = jax.ShapeDtypeStruct((1, *shape(real.rows)[1:]), np.float32)
        jax.eval_shape(one.fn, one.params, image, image)  # which are large enough
