"""What is kept of a stream of features: states that merge, so that parts, processes and restarts add up.

An accumulator is a monoid: with x ++ y the rows of both, of(x ++ y) = merge(of(x), of(y)), to the rounding of float64.
One pass over the images serves all that is asked of them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from jaxgen.evaluate.distribution import frechet, inception_score
from jaxgen.evaluate.distribution.frechet import Moments, moments
from jaxgen.evaluate.distribution.inception_score import Sums, sums
from jaxgen.evaluate.stream.features import BATCH, Extractor, Layers, extract

READ = 1 << 24  # bytes


class Accumulator(NamedTuple):
    """of(a block of layers) -> state, merge(state, state) -> state; a state is a `kind`, a NamedTuple of arrays."""

    kind: Any
    of: Callable[[Layers], Any]
    merge: Callable[[Any, Any], Any]


class Kept(NamedTuple):
    """Rows [n, d] as the blocks that they came in, which are not copied as others follow."""

    blocks: tuple[np.ndarray, ...]

    def joined(self) -> np.ndarray:
        return np.concatenate(self.blocks)


def moments_of(layer: str) -> Accumulator:
    """Moments of a layer [B, ...], flattened: what a Fréchet distance needs, d^2 numbers however many images."""
    return Accumulator(Moments, lambda block: moments(flat(block[layer])), frechet.merge)


def class_sums(layer: str) -> Accumulator:
    """Sums of the class probabilities of logits [B, K]: what an Inception Score in one split needs."""
    return Accumulator(Sums, lambda block: sums(block[layer]), inception_score.add)


def kept(layer: str) -> Accumulator:
    """The rows themselves, flattened, in float32: what neighbours and kernels need, 4 n d bytes."""
    return Accumulator(Kept, lambda block: Kept((flat(block[layer]),)), lambda a, b: Kept(a.blocks + b.blocks))


def flat(rows: Any) -> np.ndarray:
    """[B, ...] -> [B, d], as they are."""
    return np.reshape(rows, (len(rows), -1))


KINDS = {"moments": moments_of, "classes": class_sums, "rows": kept}


def named(need: str) -> Accumulator:
    """The accumulator of "KIND.LAYER", such as "moments.features", with a kind of KINDS."""
    kind, _, layer = need.partition(".")
    return KINDS[kind](layer)


class Running(NamedTuple):
    """The states of the first n images of a stream, by the names of their accumulators."""

    n: int
    states: Mapping[str, Any]


def accumulate(
    extractor: Extractor,
    rows: Any,
    needs: Iterable[str],
    done: Callable[[int], None] = lambda count: None,
    batch: int = BATCH,
    before: Running | None = None,
    keep: Callable[[Running], None] = lambda running: None,
) -> Running:
    """The states `needs`, "KIND.LAYER" each, of the uint8 images `rows`: an array, or anything with len and slices.

    `keep` is given what there is a block at a time; `before` is what it was given last of the same rows, whose images
    are passed by. Raises ValueError where there are no images, or a layer is asked for that the network does not have.
    """
    accumulators = {need: named(need) for need in needs}
    running = Running(0, {}) if before is None else before
    passed = running.n
    if not len(rows):
        raise ValueError("there are no images to measure: take a larger --num, or another folder.")
    network = only(extractor, {need.partition(".")[2] for need in accumulators})
    for layers in extract(network, slices(rows, passed), lambda count: done(passed + count), batch):
        block = {need: accumulator.of(layers) for need, accumulator in accumulators.items()}
        merged = {need: accumulators[need].merge(state, block[need]) for need, state in running.states.items()}
        running = Running(running.n + len(next(iter(layers.values()))), merged or block)
        keep(running)
    return running


def only(extractor: Extractor, layers: Collection[str]) -> Extractor:
    """The network up to these layers alone: what leads to no other is not computed."""

    def fn(params: Any, images: Any) -> Layers:
        found = extractor.fn(params, images)
        for layer in layers:
            if layer not in found:
                there = ", ".join(sorted(found))
                raise ValueError(f"the network has the layers {there}, but not {layer!r}: ask for one of them.")
        return {layer: found[layer] for layer in layers}

    return extractor._replace(fn=fn)


def slices(rows: Any, start: int = 0) -> Iterator[np.ndarray]:
    """The rows from `start` on, in order, 16 MB at a time, of which the next ones are read ahead."""
    size = max(1, READ // max(1, rows[:1].nbytes))
    with ThreadPoolExecutor(1) as reader:
        ahead = None
        for a in range(start, len(rows), size):
            following = reader.submit(rows.__getitem__, slice(a, a + size))
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()
