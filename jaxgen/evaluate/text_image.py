"""How well images suit texts, by the angles between their embeddings.

    cos(x, y) = <x, y> / (|x| |y|)

Embeddings of images and texts are rows of CLIP's (`jaxgen.evaluate.extractors.clip`), normalised or not. "CLIP score"
has several meanings in print, so each function here says which one it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.evaluate.result import Result, mean_and_error

PREFIX = "A photo depicts "  # before every text of CLIPScore, and of no other figure
NETWORK = "CLIP-B/32"  # that CLIPScore is defined with
CHUNK = 64


def cosines(x: ArrayLike, y: ArrayLike) -> Array:
    """cos of paired rows, [B, d] and [B, d] -> [B]. A row of zeros has cosine 0 with everything, no NaN gradient."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 2 or x.shape != y.shape:
        raise ValueError(f"expected one embedding of a text for each of an image, [B, d], got {x.shape} and {y.shape}.")
    return (unit(x) * unit(y)).sum(-1)


def unit(x: Array) -> Array:
    """x / |x| of every row, by way of x / max |x_i|, whose squares neither overflow nor vanish; x itself where the
    square of max |x_i| has no inverse of this float type."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    largest = jax.lax.stop_gradient(jnp.abs(x).max(-1, keepdims=True, initial=0))
    x = x / jnp.where(largest > jnp.finfo(x.dtype).tiny ** 0.5, largest, 1)
    square = jnp.square(x).sum(-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.where(square > 0.5, square, 1))


def clip_score(cosine: ArrayLike) -> Array:
    """CLIPScore = 2.5 max(cos, 0), [B] -> [B] (Hessel et al. 2021, "CLIPScore: A Reference-free Evaluation Metric for
    Image Captioning", 2104.08718, section 3), with ViT-B/32 and `PREFIX` before the texts."""
    return 2.5 * jnp.maximum(jnp.asarray(cosine), 0)


def clip_percent(cosine: ArrayLike) -> Array:
    """100 max(cos, 0), [B] -> [B]. Papers on text to image print its mean, or that of cos, without a prefix."""
    return 100 * jnp.maximum(jnp.asarray(cosine), 0)


def clip_percent_of_mean(cosine: ArrayLike) -> Array:
    """max(mean 100 cos, 0), [B] -> [], the figure of torchmetrics: the mean is bounded, not the cosines."""
    return jnp.maximum(100 * jnp.mean(jnp.asarray(cosine)), 0)


def ref_clip_score(images: ArrayLike, texts: ArrayLike, references: ArrayLike) -> Array:
    """RefCLIPScore = the harmonic mean of CLIPScore(image, text) and max(0, max_r cos(text, reference r)), [B].

    images, texts: [B, d]; references: [B, R, d] of other texts of the same image. 0 where either is 0. Hessel et al.
    2021, section 3.
    """
    images, texts, references = map(jnp.asarray, (images, texts, references))
    if references.ndim != 3 or references[:, 0].shape != texts.shape:
        raise ValueError(f"expected references [B, R, d] of texts {texts.shape}, got {references.shape}.")
    of_image = clip_score(cosines(images, texts))
    others = jnp.einsum("bd,brd->br", unit(texts), unit(references), precision=jax.lax.Precision.HIGHEST)
    of_texts = jnp.maximum(others.max(1), 0)
    both = of_image + of_texts
    return 2 * of_image * of_texts / jnp.where(both > 0, both, 1)


def candidates(texts: Sequence[str], count: int = 100, seed: int = 0) -> np.ndarray:
    """int32 [n, count]: in row i the number i of the true text, then count - 1 others, drawn without repetition from
    those that read otherwise. R-precision is a figure of these numbers too: they are part of what is to be kept."""
    names, kind = np.unique(np.asarray(texts), return_inverse=True)
    fewest = len(texts) - np.bincount(kind).max(initial=0)
    if not 2 <= count <= fewest + 1:
        raise ValueError(
            f"R-precision among {count} texts needs {count - 1} that differ from each, got {fewest} of {len(texts)} "
            f"texts ({len(names)} different ones): take more prompts or fewer candidates."
        )
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(len(texts)):
        others = np.flatnonzero(kind != kind[i])
        rows.append(np.append(i, rng.choice(others, count - 1, replace=False)))
    return np.asarray(rows, np.int32)


def ranks(images: ArrayLike, texts: ArrayLike, candidates: ArrayLike) -> Array:
    """How many of its other candidate texts are as close to each image as the true one or closer, by cosine; int [n], 0
    at best. A tie is lost, so that embeddings that tell nothing apart have no precision.

    images: [n, d]; texts: [m, d]; candidates: [n, c] numbers of texts, the true one first. R-precision is the share of
    ranks 0 (Xu et al. 2018, "AttnGAN", 1711.10485, section 4.1, with c = 100), recall at k that of ranks < k. Raises
    ValueError on embeddings that are not finite and on numbers of no text, where the values are known: inside jax.jit
    such a row has the rank c - 1.
    """
    images, texts, candidates = map(jnp.asarray, (images, texts, candidates))
    if candidates.ndim != 2 or len(candidates) != len(images) or images.shape[1:] != texts.shape[1:]:
        raise ValueError(
            f"expected images [n, d], texts [m, d] and candidates [n, c], got {images.shape}, {texts.shape} and "
            f"{candidates.shape}."
        )
    check(images, "images")
    check(texts, "texts")
    inside = (candidates >= 0) & (candidates < len(texts))
    if not isinstance(inside, jax.core.Tracer) and not inside.all():
        raise ValueError(f"candidates must be numbers of the {len(texts)} texts, got {candidates[~inside][:5]}.")
    images, texts = unit(images), unit(texts)

    def rank(row: tuple[Array, Array, Array]) -> Array:
        image, among, inside = row
        cosine = jnp.matmul(texts[among], image, precision=jax.lax.Precision.HIGHEST)
        cosine = jnp.where(inside.all(), cosine, jnp.nan)
        return (~(cosine[1:] < cosine[0])).sum()

    return jax.lax.map(rank, (images, candidates, inside), batch_size=CHUNK)


def check(embeddings: Array, what: str) -> None:
    """Raises ValueError on embeddings that are not finite, where their values are known."""
    finite = jnp.isfinite(embeddings).all(-1)
    if not isinstance(finite, jax.core.Tracer) and not finite.all():
        raise ValueError(
            f"the embeddings of {int((~finite).sum())} of {len(finite)} {what} are not finite, the first of row "
            f"{int(jnp.argmin(finite))}: look at what the network was given."
        )


class Folds(NamedTuple):
    """Mean and standard deviation (ddof 0) over folds."""

    mean: float
    std: float


def r_precision(ranks: ArrayLike, folds: int = 10, k: int = 1) -> Folds:
    """The share of `ranks` [n] below k in each of `folds` consecutive parts [i n / folds, (i + 1) n / folds), of which
    AttnGAN prints mean and deviation. Parts follow the order of the rows: permute prompts that come by category."""
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or not 1 <= folds <= len(ranks):
        raise ValueError(f"the folds of ranks {ranks.shape} must be 1 to {len(ranks)}, got {folds}.")
    shares = [float(np.mean(part < k)) for part in np.array_split(ranks, np.arange(1, folds) * len(ranks) // folds)]
    return Folds(float(np.mean(shares)), float(np.std(shares)))


def per_image(
    plain: ArrayLike, prefixed: ArrayLike, among: ArrayLike, referenced: ArrayLike | None = None, network: str = NETWORK
) -> dict[str, np.ndarray]:
    """What is averaged, of every image, by the name of the figure: of cosines `plain` and with `PREFIX`, ranks `among`
    candidates, and RefCLIPScores where there are references, all of one shape. CLIPScore is one of ViT-B/32: another
    `network` is said in its name."""
    other = "" if network == NETWORK else f"-{network.removeprefix('CLIP-') or 'unknown network'}"
    columns = {
        "CLIP cosine": plain,
        "CLIP percent": clip_percent(plain),
        f"CLIPScore{other}": clip_score(prefixed),
        "R-precision": np.asarray(among) == 0,
        **({} if referenced is None else {f"RefCLIPScore{other}": referenced}),
    }
    return {name: np.asarray(values, np.float64) for name, values in columns.items()}


def figures(columns: Mapping[str, np.ndarray], count: int, **said: Any) -> list[Result]:
    """The means of the columns [n] of `per_image`, R-precision among `count` texts, with standard errors; or of columns
    [n, S] of S images for each text, whose errors are those of the mean over texts, as the images of one are alike.
    `said` goes into every Result: protocol, layer, weights, dtype."""
    folds = r_precision(np.where(columns["R-precision"], 0, 1).ravel(), min(10, columns["R-precision"].size))
    parts = min(10, columns["R-precision"].size)
    definitions = {
        "CLIP cosine": "mean cosine of image and text",
        "CLIP percent": "mean of 100 max(cos, 0), as papers on text to image print it",
        "CLIPScore": f"mean of 2.5 max(cos, 0), texts after {PREFIX.strip()!r}",
        "R-precision": f"share of images whose own text is the closest of {count}; "
        f"standard deviation over {parts} folds {folds.std:.4f}",
        "RefCLIPScore": "mean of the harmonic mean of CLIPScore and the closest reference's max(cos, 0)",
    }
    found = []
    for name, values in columns.items():
        kind = next(kind for kind in definitions if name == kind or name.startswith(f"{kind}-"))
        mean, error = mean_and_error(values.reshape(len(values), -1).mean(1))
        found.append(Result(name, mean, definitions[kind], values.size, error, **said))
    cosine = found[0]
    bounded = float(clip_percent_of_mean(cosine.value))
    error = 100 * (cosine.error or 0.0)
    definition = "max(100 times the mean cosine, 0), as torchmetrics prints it"
    found.insert(2, Result("CLIP percent of the mean", bounded, definition, cosine.n, error, **said))
    return found
