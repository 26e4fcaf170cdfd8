"""Two sets of images seen by networks, once each, and the figures of what was seen."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.commands.metrics import NETWORKS, PIXELS, Chosen, open_network
from jaxgen.evaluate.distribution.blocks import shape
from jaxgen.evaluate.distribution.frechet import Moments
from jaxgen.evaluate.extractors import pixels
from jaxgen.evaluate.figures import Metric, Seen, moments_of
from jaxgen.evaluate.paired.comparisons import pairing
from jaxgen.evaluate.pixels import protocol as raw
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream import running, statistics
from jaxgen.evaluate.stream.accumulate import Kept, Running, accumulate
from jaxgen.evaluate.stream.captions import Captions, text_to_image
from jaxgen.evaluate.stream.clips import Clips
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import Side
from jaxgen.io.progress import progress
from jaxgen.io.question import digest
from jaxgen.parallel import multihost

WIDEST = 1 << 14  # dimensions whose covariance is taken: 2 GB
UNNAMED = "inception"  # whose statistics are those beside images that do not say of which features they are

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


def check(metrics: Sequence[Chosen], networks: Mapping[str, Extractor], real: Side, fake: Side) -> None:
    """Raises ValueError where these sides cannot be compared by these metrics: known before anything is computed."""
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
        if "moments" in one.metric.real and stands(real, one, network):
            check_statistics(one, network, real, fake)
        if only_statistics(fake):
            check_statistics(one, network, fake, real)


def check_statistics(one: Chosen, network: Extractor, side: Side, other: Side) -> None:
    """Raises ValueError where the statistics of `side` are of other features than `network` gives of the images of the
    `other`, and warns where they do not say of which they are."""
    assert side.statistics is not None
    said = statistics.about(side.statistics)
    if said.features not in (None, network.name):
        raise ValueError(f"the statistics in {side.name} are of {said.features}, but these are {network.name}.")
    if one.layer not in said.layers:
        mean, spread = statistics.names(one.layer)
        held = ", ".join(sorted(said.layers)) or "no layer"
        raise ValueError(f"{one.name} needs {mean} and {spread} in {side.name}, which has statistics of {held}.")
    if len(other):
        clips = NETWORKS[one.network].clips
        first = (other.rows if clips is None else Clips(other.rows, clips))[0:1]
        image = network.prepare(np.broadcast_to(first, (*first.shape[:-1], 3)))
        found = jax.eval_shape(network.fn, network.params, image)
        if one.layer in found and (d := int(np.prod(found[one.layer].shape[1:]))) != said.layers[one.layer]:
            raise ValueError(
                f"the statistics in {side.name} are of {said.layers[one.layer]} {one.layer}, but those of "
                f"{network.name} are {d}."
            )
    if said.features is None:
        warnings.warn(
            f"{side.name} does not say of which features its statistics are: they are taken for those of {one.name}, "
            "which is wrong if network, weights or resizing rule were others.",
            stacklevel=2,
        )


def check_pairs(names: Sequence[str], real: Side, fake: Side) -> None:
    """Raises ValueError where image i of one side is not what image i of the other is to be compared with."""
    for name in names:
        for side in (real, fake):
            if only_statistics(side):
                raise ValueError(f"{name} needs images, of which {side.name} has statistics only: give a folder.")
        pairing(real.files, fake.files)
        if shape(real.rows) != shape(fake.rows) or len(real) < 2:
            raise ValueError(
                f"{name} compares at least 2 images one to one, got {shape(fake.rows)} of {fake.name} beside "
                f"{shape(real.rows)} of {real.name}."
            )


def look(
    metrics: Sequence[Chosen],
    networks: Mapping[str, Extractor],
    real: Side,
    fake: Side,
    folders: tuple[Path, Path],
    batch: int | None,
    captions: Captions | None = None,
) -> Look:
    """The figures `metrics` of `fake` against `real`, of which every network sees each image once. What it has seen is
    kept in `folders`, of the real and of the other images, for the same command to go on from where one was killed; of
    the real ones it stays there for other commands. `captions` are those that `fake` was drawn for."""
    figures: dict[Chosen, list[Result]] = {}
    space, rows, files = "", None, []
    fake = fake if only_statistics(fake) else replace(fake, statistics=None)
    levels = (real if len(real) else fake).levels
    for name in dict.fromkeys(one.network for one in metrics):
        asked = [one for one in metrics if one.network == name]
        seen = []
        for side, folder, fields in ((real, folders[0], "real"), (fake, folders[1], "fake")):
            needs = sorted({need for one in asked for need in one.needs(fields_of(one.metric, fields, side))})
            if name == PIXELS:
                seen.append(pixelwise(replace(side, levels=levels), needs))
            else:
                path = kept(folder, side, networks[name])
                files += [path, partly(path)] if fields == "fake" else []
                seen.append(seen_by(networks[name], asked[0], side, needs, path, batch))
        network = networks.get(name)
        protocol = raw(levels) if network is None else network.name
        for one in asked:
            pair = [of_layer(states, one.layer, side) for states, side in zip(seen, (real, fake), strict=True)]
            against = told(one, network, real) if one.metric.real else None
            said = [protocol]
            if only_statistics(fake):
                said.append(told(one, network, fake))
            if against is not None and captions is None:
                said.append(f"against {against}")
            if captions is not None:
                mode = NETWORKS[name].options.get("rule", name) if name in NETWORKS else name
                said.append(text_to_image(captions, real, fake, against, mode).name)
            figures[one] = [one.named(result, "; ".join(said), network) for result in one.metric.figures(*pair)]
            if rows is None and one.metric.layer == "features" and not any(part.rows is None for part in pair):
                space = "raw pixels" if network is None else f"{network.label or name} {one.layer}"
                rows = (pair[0].rows, pair[1].rows)
    return Look([result for one in metrics for result in figures[one]], space, rows, files)


def fields_of(metric: Metric, which: str, side: Side) -> tuple[str, ...]:
    """What a metric needs of the "real" or the "fake" side: of images also what its error needs."""
    fields: tuple[str, ...] = getattr(metric, which)
    return (*fields, *metric.errors) if which == "fake" and len(side) else fields


def pixelwise(side: Side, needs: Sequence[str]) -> States:
    """The states of raw pixels, which are read again when they are asked for."""
    if not needs:
        return {}
    rows = pixels.rows(side)
    states: States = {"rows.features": rows}
    if "moments.features" in needs:
        states["moments.features"] = moments_of(rows, np.arange(len(rows)))
    return states


def seen_by(network: Extractor, one: Chosen, side: Side, needs: Sequence[str], path: Path, batch: int | None) -> States:
    """The states `needs` of all images of `side` in `network`, that of the metric `one`: from the statistics of `side`
    where these stand for it, from the file `path`, which keeps all that was ever seen of it, or by looking."""
    states = {}
    for need in needs:
        kind, _, layer = need.partition(".")
        if kind == "moments" and stands(side, one._replace(layer=layer), network):
            assert side.statistics is not None
            states[need] = statistics.read(side.statistics, network.name, layer)
    if states.keys() >= {*needs}:
        return states
    question = f"{side.key} {network.name}"
    before = dict(running.whole(path, question, len(side)).states)
    states = from_rows(before, needs) | before | states
    missing = sorted({*needs} - states.keys())
    if missing:
        states |= (found := look_at(network, one.network, side, missing, partly(path), question, batch))
        if multihost.is_main():
            running.write(path, Running(len(side), before | found), question)
            partly(path).unlink(missing_ok=True)
    return {need: joined(states[need]) for need in needs}


def from_rows(states: States, needs: Sequence[str]) -> States:
    """The moments among `needs` of layers whose rows are among `states`."""
    found = {}
    for need in needs:
        kind, _, layer = need.partition(".")
        if kind == "moments" and f"rows.{layer}" in states:
            rows = joined(states[f"rows.{layer}"])
            found[need] = moments_of(rows, np.arange(len(rows)))
    return found


def joined(state: Any) -> Any:
    return state.joined() if isinstance(state, Kept) else state


def look_at(
    network: Extractor, name: str, side: Side, needs: Sequence[str], path: Path, question: str, batch: int | None
) -> States:
    """The states `needs` by looking at the images, of which `path` keeps how far it came."""
    before, keep = running.resumable(path, question, needs)
    if before is None or before.n < len(side):
        if multihost.is_main():
            print(f"{side.name} seen by {name}:", file=sys.stderr)
        clips = NETWORKS[name].clips
        rows = side.rows if clips is None else Clips(side.rows, clips)
        with progress(len(side), 0 if before is None else before.n, unit="image") as show:
            before = accumulate(network, rows, needs, show.update, batch or NETWORKS[name].batch, before, keep)
    return dict(before.states)


def reference(
    metrics: Sequence[Chosen], networks: Mapping[str, Extractor], real: Side, folder: Path, batch: int | None
) -> tuple[dict[str, Moments], list[Path]]:
    """Moments of the layers of these metrics, all of one network, by layer; and what is kept until they are used."""
    network = networks[metrics[0].network]
    needs = sorted(set().union(*(one.needs(["moments"]) for one in metrics)))
    path = kept(folder, real, network)
    states = seen_by(network, metrics[0], real, needs, path, batch)
    return {need.partition(".")[2]: states[need] for need in needs}, [path, partly(path)]


def kept(folder: Path, side: Side, network: Extractor) -> Path:
    """Where what `network` has seen of `side` is kept."""
    return folder / f"features_{digest({'images': side.key, 'network': network.name})}.npz"


def partly(path: Path) -> Path:
    """Where the same is kept of the first images, until all are seen."""
    return path.with_suffix(".part.npz")


def forget(files: Sequence[Path]) -> None:
    """Remove what all processes are done with."""
    multihost.barrier("what was seen is used up")
    for path in files if multihost.is_main() else ():
        path.unlink(missing_ok=True)


def of_layer(states: States, layer: str, side: Side) -> Seen:
    """What is known of a layer of the images of `side`; n is 0 where only their statistics know it, and do not say."""
    n = len(side)
    if side.statistics is not None and not n:
        n = statistics.about(side.statistics).n or 0
    return Seen(n, *(states.get(f"{kind}.{layer}") for kind in ("moments", "rows", "classes")))


def only_statistics(side: Side) -> bool:
    return side.statistics is not None and not len(side)


def stands(side: Side, one: Chosen, network: Extractor) -> bool:
    """Whether the file of `side` has the moments of the layer of `one`, in place of those of its images: whenever there
    are no images, and beside images those of this network or, where they do not say of which, of UNNAMED, which is what
    guided-diffusion puts there."""
    if side.statistics is None or only_statistics(side):
        return side.statistics is not None
    said = statistics.about(side.statistics)
    same = one.network == UNNAMED if said.features is None else said.features == network.name
    return same and one.layer in said.layers


def told(one: Chosen, network: Extractor | None, real: Side) -> str:
    """Of what the reference of a metric is."""
    if network is None or "moments" not in one.metric.real or not stands(real, one, network):
        return f"{len(real):,} images of {real.name}"
    assert real.statistics is not None
    said = statistics.about(real.statistics)
    count = "an unknown number of" if said.n is None else f"{said.n:,}"
    unsaid = "" if said.features is not None else ", which do not say of which features they are"
    return f"the statistics in {real.name} of {count} images{unsaid}"
