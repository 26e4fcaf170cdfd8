"""Two sets of images seen by networks, once each, and the figures of what was seen."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgen.commands.metrics import NETWORKS, PIXELS, Chosen, open_network
from jaxgen.evaluate.distribution.blocks import shape
from jaxgen.evaluate.distribution.frechet import Moments
from jaxgen.evaluate.extractors import pixels
from jaxgen.evaluate.figures import Seen, moments_of
from jaxgen.evaluate.pixels import protocol as raw
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream import running, statistics
from jaxgen.evaluate.stream.accumulate import Kept, accumulate
from jaxgen.evaluate.stream.clips import Clips
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import Side
from jaxgen.io.progress import progress
from jaxgen.io.question import digest
from jaxgen.parallel import multihost

WIDEST = 1 << 14  # dimensions whose covariance is taken: 2 GB

States = dict[str, Any]  # "KIND.LAYER" -> state


class Look(NamedTuple):
    """What was seen of two sides: the figures; the rows [n, ...] of each side in one network, `space` for people, where
    all were kept; and the files that are kept for the same command until it is done."""

    figures: list[Result]
    space: str
    rows: tuple[Any, Any] | None
    files: list[Path]


def opened(metrics: Sequence[Chosen], weights: Mapping[str, Path]) -> dict[str, Extractor]:
    """The networks of these metrics, with weights from these files. Raises ValueError where one cannot be opened."""
    names = dict.fromkeys(one.network for one in metrics if one.network != PIXELS)
    return {name: open_network(name, weights) for name in names}


def check(metrics: Sequence[Chosen], real: Side, fake: Side) -> None:
    """Raises ValueError where these sides cannot be compared by these metrics: known before anything is computed."""
    for one in metrics:
        for side, fields in ((real, one.metric.real), (fake, one.metric.fake)):
            alone = side.statistics is not None and not len(side)
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
        if one.network == PIXELS:
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


def look(
    metrics: Sequence[Chosen],
    networks: Mapping[str, Extractor],
    real: Side,
    fake: Side,
    folders: tuple[Path, Path],
    batch: int | None,
) -> Look:
    """The figures `metrics` of `fake` against `real`, of which every network sees each image once. What it has seen is
    kept in `folders`, of the real and of the other images, for the same command to go on from where one was killed; of
    the real ones it stays there for other commands."""
    figures: dict[Chosen, list[Result]] = {}
    space, rows, files = "", None, []
    for name in dict.fromkeys(one.network for one in metrics):
        asked = [one for one in metrics if one.network == name]
        seen = []
        for side, folder, fields in ((real, folders[0], "real"), (fake, folders[1], "fake")):
            needs = sorted({need for one in asked for need in one.needs(getattr(one.metric, fields))})
            if name == PIXELS:
                seen.append(pixelwise(replace(side, levels=real.levels), needs))
            else:
                path = kept(folder, side, networks[name])
                files += [path] if fields == "fake" else []
                seen.append(seen_by(networks[name], name, side, needs, path, batch))
        protocol = raw(real.levels) if name == PIXELS else networks[name].name
        for one in asked:
            against = f"{protocol}; against {told(real)}" if one.metric.real else protocol
            pair = [of_layer(states, one.layer, len(side)) for states, side in zip(seen, (real, fake), strict=True)]
            figures[one] = [one.named(result, against) for result in one.metric.figures(*pair)]
            if rows is None and one.metric.layer == "features" and "rows" in one.metric.real:
                space, rows = (
                    "raw pixels" if name == PIXELS else f"{NETWORKS[name].label} {one.layer}",
                    (pair[0].rows, pair[1].rows),
                )
    return Look([result for one in metrics for result in figures[one]], space, rows, files)


def pixelwise(side: Side, needs: Sequence[str]) -> States:
    """The states of raw pixels, which are read again when they are asked for."""
    rows = pixels.rows(side)
    states: States = {"rows.features": rows}
    if "moments.features" in needs:
        states["moments.features"] = moments_of(rows, np.arange(len(rows)))
    return states


def seen_by(network: Extractor, name: str, side: Side, needs: Sequence[str], path: Path, batch: int | None) -> States:
    """The states `needs` of all images of `side` in `network`, of which `path` keeps what there is: or the statistics
    of `side`, where these are all that is needed."""
    alone = needs and all(need.startswith("moments.") for need in needs)
    if side.statistics is not None and alone and (not len(side) or name == "inception"):
        return {need: statistics.read(side.statistics, network.name, need.partition(".")[2]) for need in needs}
    if not needs:
        return {}
    question = f"{side.key} {network.name}"
    before, keep = running.resumable(path, question, needs)
    if before is None or before.n < len(side):
        if multihost.is_main():
            print(f"{side.name} seen by {name}:", file=sys.stderr)
        clips = NETWORKS[name].clips
        rows = side.rows if clips is None else Clips(side.rows, clips)
        with progress(len(side), 0 if before is None else before.n, unit="image") as show:
            before = accumulate(network, rows, needs, show.update, batch or NETWORKS[name].batch, before, keep)
        if multihost.is_main():
            running.write(path, before, question)
    return {need: state.joined() if isinstance(state, Kept) else state for need, state in before.states.items()}


def reference(
    metrics: Sequence[Chosen], networks: Mapping[str, Extractor], real: Side, folder: Path, batch: int | None
) -> tuple[dict[str, Moments], list[Path]]:
    """Moments of the layers of these metrics, all of one network, by layer; and what is kept until they are used."""
    name = metrics[0].network
    needs = sorted(set().union(*(one.needs(["moments"]) for one in metrics)))
    path = kept(folder, real, networks[name])
    states = seen_by(networks[name], name, real, needs, path, batch)
    return {need.partition(".")[2]: states[need] for need in needs}, [path]


def kept(folder: Path, side: Side, network: Extractor) -> Path:
    """Where what `network` has seen of `side` is kept."""
    return folder / f"features_{digest({'images': side.key, 'network': network.name})}.npz"


def forget(files: Sequence[Path]) -> None:
    """Remove what all processes are done with."""
    multihost.barrier("what was seen is used up")
    for path in files if multihost.is_main() else ():
        path.unlink(missing_ok=True)


def of_layer(states: States, layer: str, n: int) -> Seen:
    """What is known of a layer of n images."""
    return Seen(n, *(states.get(f"{kind}.{layer}") for kind in ("moments", "rows", "classes")))


def told(real: Side) -> str:
    """Of what the reference is."""
    return f"{len(real):,} images of {real.name}" if len(real) else f"the statistics in {real.name}"
