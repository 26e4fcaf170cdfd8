"""Two sets of images seen by networks, once each, and the figures of what was seen."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxgen.commands.metrics import NETWORKS, PIXELS, Chosen, open_network
from jaxgen.evaluate.distribution.frechet import Moments
from jaxgen.evaluate.extractors import pixels
from jaxgen.evaluate.figures import LOGITS, METRICS, Metric, Seen, moments_of
from jaxgen.evaluate.neighbourhood import Neighbourhood
from jaxgen.evaluate.pixels import protocol as raw
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream import running, statistics
from jaxgen.evaluate.stream.accumulate import Kept, Running, accumulate
from jaxgen.evaluate.stream.captions import Captions, text_to_image
from jaxgen.evaluate.stream.clips import Clips
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import Side
from jaxgen.io.progress import progress, watching
from jaxgen.io.question import digest
from jaxgen.parallel import multihost

UNNAMED = "inception"  # whose statistics are those beside images that do not say of which features they are
MOST = 200_000  # real images whose features are kept for pictures alone: 1.6 GB of 2048 dimensions

States = dict[str, Any]  # "KIND.LAYER" -> state


class Look(NamedTuple):
    """What was seen of two sides: the figures; the neighbours of both in one network, `space` for people, or None and
    why they were not seen; and the files that are kept for the same command until it is done."""

    figures: list[Result]
    space: str
    near: Neighbourhood | None
    unseen: str
    files: list[Path]


def opened(metrics: Sequence[Chosen], weights: Mapping[str, Path]) -> dict[str, Extractor]:
    """The networks of these metrics, with weights from these files. Raises ValueError where one cannot be opened."""
    names = dict.fromkeys(one.network for one in metrics if one.network != PIXELS)
    return {name: open_network(name, weights) for name in names}


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
    space, shown, files = "", None, []
    fake = fake if only_statistics(fake) else replace(fake, statistics=None)
    pictured, unseen = in_pictures(metrics, real, fake)
    levels = (real if len(real) else fake).levels
    for name in dict.fromkeys(one.network for one in metrics):
        asked = [one for one in metrics if one.network == name]
        seen = []
        for side, folder, fields in ((real, folders[0], "real"), (fake, folders[1], "fake")):
            needs = {need for one in asked for need in one.needs(fields_of(one.metric, fields, side))}
            if pictured is not None and pictured.network == name:
                needs |= pictured.needs(["rows"])
            if name == PIXELS:
                seen.append(pixelwise(replace(side, levels=levels), sorted(needs)))
            else:
                path = kept(folder, side, networks[name])
                files += [path, partly(path)] if fields == "fake" else []
                seen.append(seen_by(networks[name], asked[0], side, sorted(needs), path, batch))
        network, layers = networks.get(name), in_layers({one.layer for one in asked}, seen, real, fake)
        with bar(f"figures of {name}", len(asked)) as done:
            for i, one in enumerate(asked):
                done(i, one.name)
                left, right, near = layers[one.layer]
                said = protocol(one, network, real, fake, raw(levels), captions)
                figures[one] = [one.named(result, said, network) for result in one.metric.figures(left, right, near)]
            done(len(asked))
        if pictured is not None and pictured.network == name:
            space = "raw pixels" if network is None else f"{network.label or name} {pictured.layer}"
            shown = (layers.get(pictured.layer) or in_layers([pictured.layer], seen, real, fake)[pictured.layer])[2]
    return Look([result for one in metrics for result in figures[one]], space, shown, unseen, files)


def in_pictures(metrics: Sequence[Chosen], real: Side, fake: Side) -> tuple[Chosen | None, str]:
    """In which network and layer neighbours are shown to people: those of realism where that is asked for, else those
    of the first metric that compares both sides in features of a network, else raw pixels. Or none, and why not, ""
    without real images that anybody gave."""
    for side in (real, fake):
        if only_statistics(side):
            return None, f"{side.name} has statistics, but no images"
    found = [one._replace(layer="features") if one.layer == LOGITS else one for one in metrics if one.metric.real]
    if not found:
        return None, "No metric was asked for that compares both sets in features" if len(real) else ""

    def last(one: Chosen) -> tuple[bool, bool, bool]:
        return one.metric is not METRICS["realism"], one.network == PIXELS, one.layer != "features"

    first = min(found, key=last)
    kept_anyway = any(one.space[1:] == first.space[1:] and "rows" in one.metric.real for one in metrics)
    if len(real) > MOST and first.network != PIXELS and not kept_anyway:
        return None, (
            f"{real.name} has {len(real):,} images, and their features are kept of up to {MOST:,} unless a metric such "
            f"as nn@{first.network} needs them"
        )
    return first, ""


def in_layers(
    layers: Collection[str], seen: Sequence[States], real: Side, fake: Side
) -> dict[str, tuple[Seen, Seen, Neighbourhood]]:
    """What was `seen` of both sides in each of these layers, and the neighbours, which the metrics of it share."""
    found = {}
    for layer in layers:
        left, right = (of_layer(states, layer, side) for states, side in zip(seen, (real, fake), strict=True))
        found[layer] = left, right, Neighbourhood(left.rows, right.rows)
    return found


def protocol(
    one: Chosen, network: Extractor | None, real: Side, fake: Side, pixels: str, captions: Captions | None
) -> str:
    """What the figures of a metric in `network`, or in raw `pixels`, share with others."""
    against = told(one, network, real) if one.metric.real else None
    said = [pixels if network is None else network.name]
    if only_statistics(fake):
        said.append(told(one, network, fake))
    elif fake.left_out:
        said.append(f"{len(fake):,} images of {fake.name}{without(fake)}")
    if captions is not None:
        known = NETWORKS.get(one.network)
        mode = one.network if known is None else known.options.get("rule", one.network)
        said.append(text_to_image(captions, real, fake, against, mode).name)
    elif against is not None:
        said.append(f"against {against}")
    return "; ".join(said)


class Done(Protocol):
    def __call__(self, count: int, name: str = "", /) -> None: ...


@contextmanager
def bar(what: str, count: int) -> Iterator[Done]:
    """Hears how many of so many parts are done, and what the next one is called, and shows it on a terminal under the
    title `what`, with how far the part is on which of the passes over the images that it takes."""
    if not (sys.stderr.isatty() and multihost.is_main()):
        yield lambda count, name="", /: None
        return
    at, passes = (0, ""), 0
    print(f"{what}:", file=sys.stderr)
    with progress(count, unit="") as show:

        def done(count: int, name: str = "", /) -> None:
            nonlocal at, passes
            at, passes = (count, name), 0
            show.update(count, name)

        def tell(share: float) -> None:
            nonlocal passes
            passes += share == 0
            show.update(at[0], f"{at[1]} pass {passes}: {share:.0%}".lstrip())

        with watching(tell):
            yield done


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
    states = {kind: states.get(f"{kind}.{layer}") for kind in ("moments", "rows", "classes")}
    return Seen(n, **states, role=side.role)


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


def without(side: Side) -> str:
    """What to say of the files of `side` that were left out."""
    return f" ({side.left_out:,} damaged file{'s' * (side.left_out > 1)} left out)" if side.left_out else ""


def told(one: Chosen, network: Extractor | None, real: Side) -> str:
    """Of what the reference of a metric is."""
    if network is None or "moments" not in one.metric.real or not stands(real, one, network):
        return f"{len(real):,} images of {real.name}{without(real)}"
    assert real.statistics is not None
    said = statistics.about(real.statistics)
    count = "an unknown number of" if said.n is None else f"{said.n:,}"
    unsaid = "" if said.features is not None else ", which do not say of which features they are"
    return f"the statistics in {real.name} of {count} images{unsaid}"
