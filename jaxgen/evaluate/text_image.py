"""How well images suit texts, by the angles between their embeddings.

    cos(x, y) = <x, y> / (|x| |y|)

Embeddings of images and texts are rows of CLIP's (`jaxgen.evaluate.extractors.clip`), normalised or not. "CLIP score"
has several meanings in print, so each function here says which one it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxgen.evaluate.nll import mean_and_error
from jaxgen.evaluate.result import Result

PREFIX = "A photo depicts "  # before every text of CLIPScore, and of no other figure
CHUNK = 64


def cosines(x: ArrayLike, y: ArrayLike) -> Array:
    """cos of paired rows, [B, d] and [B, d] -> [B]. A row of zeros has cosine 0 with everything, no NaN gradient."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 2 or x.shape != y.shape:
        raise ValueError(f"expected one embedding of a text for each of an image, [B, d], got {x.shape} and {y.shape}.")
    return (unit(x) * unit(y)).sum(-1)


def unit(x: Array) -> Array:
    """x / |x| of every row, or x itself where |x|^2 has no inverse of this float type to the power 3/2."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    square = jnp.square(x).sum(-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.where(square > jnp.finfo(x.dtype).tiny ** 0.5, square, 1))


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
    """How many of its candidate texts are closer to each image than the true one, by cosine; int [n], 0 at best.

    images: [n, d]; texts: [m, d]; candidates: [n, c] numbers of texts, the true one first. R-precision is the share of
    ranks 0 (Xu et al. 2018, "AttnGAN", 1711.10485, section 4.1, with c = 100), recall at k that of ranks < k.
    """
    images, texts, candidates = map(jnp.asarray, (images, texts, candidates))
    if candidates.ndim != 2 or len(candidates) != len(images) or images.shape[1:] != texts.shape[1:]:
        raise ValueError(
            f"expected images [n, d], texts [m, d] and candidates [n, c], got {images.shape}, {texts.shape} and "
            f"{candidates.shape}."
        )
    images, texts = unit(images), unit(texts)

    def rank(pair: tuple[Array, Array]) -> Array:
        image, among = pair
        cosine = jnp.matmul(texts[among], image, precision=jax.lax.Precision.HIGHEST)
        return (cosine > cosine[0]).sum()

    return jax.lax.map(rank, (images, candidates), batch_size=CHUNK)


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


def figures(plain: ArrayLike, prefixed: ArrayLike, among: ArrayLike, count: int, **said: Any) -> list[Result]:
    """Cosines [n] of images and their texts, `plain` and with `PREFIX`, and their ranks [n] `among` `count` texts, as
    figures with standard errors; or [n, S] of S images for each text, whose errors are those of the mean over texts, as
    the images of one are alike. `said` goes into every Result: protocol, layer, weights, dtype."""
    hits = np.asarray(among) == 0
    folds = r_precision(np.ravel(among), min(10, hits.size))
    columns = (
        ("CLIP cosine", plain, "mean cosine of image and text", ""),
        ("CLIPScore", clip_score(prefixed), f"mean of 2.5 max(cos, 0), texts after {PREFIX.strip()!r}", ""),
        ("R-precision", hits, f"share of images whose own text is the closest of {count}", f"{folds.std:.4f}"),
    )
    found = []
    for name, values, definition, deviation in columns:
        mean, error = mean_and_error(np.reshape(values, (len(hits), -1)).mean(1))
        definition += f"; standard deviation over {min(10, hits.size)} folds {deviation}" if deviation else ""
        found.append(Result(name, mean, definition, hits.size, error, **said))
    return found
