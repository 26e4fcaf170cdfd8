"""The rows of metrics.py on features: Fréchet distance, KID, nearest neighbours, Inception Score."""

from collections.abc import Callable

import metrics_peers as peers
import numpy as np
import scipy.fft
import scipy.special
from metrics import US, Row

from jaxgen.evaluate.distribution.frechet import covariance, frechet, moments
from jaxgen.evaluate.distribution.inception_score import inception_score
from jaxgen.evaluate.distribution.kernel import kid
from jaxgen.evaluate.distribution.neighbours import nearest
from jaxgen.evaluate.distribution.prdc import prdc

DIMENSION = 2048


def gaussian_like(deviations: np.ndarray, mean: float, n: int, seed: int, dtype: type = np.float64) -> np.ndarray:
    """x [n, d] whose mean is exactly `mean`, and whose covariance (ddof 1) is V diag(deviations^2) V^T, with one V for
    every seed: n - 1 of the deviations may not be 0.

        x = mean + sqrt(n - 1) U diag(deviations) V^T

    U columns of a cosine transform, which are orthonormal and of mean 0, in an order of the seed; V a cosine transform
    after random signs. So the Fréchet distance of two such sets is known without a root of a matrix.
    """
    d = len(deviations)
    order = 1 + np.random.default_rng(seed).permutation(n - 1)[:d]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], d)
    held = np.zeros((n, d))
    held[order] = scipy.fft.dct(np.diag(deviations * signs)[: len(order)], axis=1, norm="ortho")
    return (mean + np.sqrt(n - 1) * scipy.fft.idct(held, axis=0, norm="ortho")).astype(dtype)


def frechet_truth(a: np.ndarray, b: np.ndarray, apart: float) -> float:
    """|mu - nu|^2 + sum_i (a_i - b_i)^2, for means `apart` in every dimension."""
    return float(len(a) * apart**2 + np.square(a - b).sum())


def spectrum(d: int, decay: float) -> np.ndarray:
    """Deviations whose squares fall as i^-decay, of mean square 0.1."""
    variance = np.arange(1, d + 1.0) ** -decay
    return np.sqrt(0.1 * variance / variance.mean())


def two_sets(n: int, d: int, decay: float, dtype: type) -> tuple[np.ndarray, np.ndarray, float]:
    """(x, y, their Fréchet distance); where n is the less, n - 1 of the deviations are not 0."""
    a = spectrum(d, decay) * (np.arange(d) < n - 1)
    b = a * (1 + 0.1 * np.cos(np.arange(d)))
    x, y = gaussian_like(a, 0.4, n, 1, dtype), gaussian_like(b, 0.41, n, 2, dtype)
    return x, y, frechet_truth(a, b, 0.01)


def frechet_row(title: str, x: np.ndarray, y: np.ndarray, truth: float, count: int = 0) -> Row:
    sides: dict[str, Callable[[], float]] = {
        US: lambda: frechet(moments(x), moments(y)),
        "torch-fidelity": lambda: peers.frechet_torch_fidelity(x, y),
        "torchmetrics": lambda: peers.frechet_torchmetrics(x, y),
    }
    if not count:  # the slowest by far
        sides["SciPy sqrtm"] = lambda: peers.frechet_sqrtm(x, y)
    return Row(title, sides, truth, "closed form", count)


def frechet_full(n: int) -> Row:
    x, y, truth = two_sets(n, DIMENSION, 1.0, np.float32)
    return frechet_row(f"Fréchet distance, {n:,} x {DIMENSION} twice", x, y, truth, 2 * n)


def frechet_root(n: int) -> Row:
    x, y, truth = two_sets(n, DIMENSION, 1.0, np.float32)
    ours = [moments(z) for z in (x, y)]
    theirs = [(m.shift + m.s / m.n, covariance(m)) for m in ours]
    sides = {
        US: lambda: frechet(*ours),
        "torch-fidelity": lambda: peers.root_torch_fidelity(*theirs),
        "torchmetrics": lambda: peers.root_torchmetrics(*theirs),
    }
    return Row(f"the same from means and covariances, {DIMENSION}", sides, truth, "closed form", 2 * n)


def frechet_few(n: int) -> Row:
    x, y, truth = two_sets(200, DIMENSION, 0.5, np.float64)
    return frechet_row(f"Fréchet distance, 200 x {DIMENSION}: fewer images than dimensions", x, y, truth)


def frechet_steep(n: int) -> Row:
    x, y, truth = two_sets(1000, 256, 3.0, np.float64)
    return frechet_row("Fréchet distance, 1000 x 256, variances as i^-3", x, y, truth)


# Kernels


def kid_truth(x: np.ndarray, y: np.ndarray, subsets: int, size: int) -> np.ndarray:
    """Mean and deviation over torch-fidelity's subsets of the unbiased MMD^2, in float64 from its definition."""
    state = np.random.RandomState(2020)

    def mean(a: np.ndarray, b: np.ndarray, itself: bool) -> float:
        k = (a @ b.T / a.shape[1] + 1) ** 3
        return (k.sum() - np.trace(k)) / (size * (size - 1)) if itself else k.mean()

    found = []
    for _ in range(subsets):
        a, b = (z[state.choice(len(z), size, replace=False)].astype(np.float64) for z in (x, y))
        found.append(mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False))
    return np.array([np.mean(found), np.std(found)])


def kid_row(title: str, x: np.ndarray, y: np.ndarray, subsets: int, size: int, count: int) -> Row:
    sides = {
        US: lambda: np.array(kid(x, y, subsets, size)),
        "torch-fidelity": lambda: peers.kid_torch_fidelity(x, y, subsets, size),
        "torchmetrics": lambda: peers.kid_torchmetrics(x, y, subsets, size),
    }
    return Row(title, sides, kid_truth(x, y, subsets, size), "float64", count)


def kid_subsets(n: int) -> Row:
    x, y, _ = two_sets(n, DIMENSION, 1.0, np.float32)
    return kid_row(f"KID, 20 subsets of 1000 of {n:,} x {DIMENSION}", x, y, 20, 1000, 40_000)


def kid_small(n: int) -> Row:
    """Features far from 0 whose sets differ little, as those of a good model."""
    x, y = (np.float32(2 + np.random.default_rng(i).normal(size=(1000, 64)) / 10) for i in range(2))
    return kid_row("KID of two samples of one distribution, mean 2, deviation 0.1", x, y, 10, 200, 0)


# Nearest neighbours


def distances(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """To the k nearest, in float64, by differences for those that are near by products."""
    points = y.astype(np.float64) - y.mean(0)
    squares, found = np.square(points).sum(1), []
    for rows in np.array_split(x, max(1, len(x) // 1000)):
        queries = rows.astype(np.float64) - y.mean(0)
        near = np.argpartition(squares - 2 * queries @ points.T, k + 3, axis=1)[:, : k + 3]
        exact = [np.square(points[some] - query).sum(1) for some, query in zip(near, queries, strict=True)]
        found.append(np.sqrt(np.sort(exact, axis=1)[:, :k]))
    return np.concatenate(found)


def nearest_row(title: str, x: np.ndarray, y: np.ndarray, count: int) -> Row:
    sides = {
        US: lambda: np.sqrt(nearest(x, y, 5)[0]),
        "torch.cdist": lambda: peers.nearest_torch(x, y, 5),
        "scikit-learn": lambda: peers.nearest_sklearn(x, y, 5),
    }
    return Row(title, sides, distances(x, y, 5), "float64", count)


def nearest_large(n: int) -> Row:
    x, y, _ = two_sets(n, DIMENSION, 1.0, np.float32)
    return nearest_row(f"the 5 nearest of {n:,} x {DIMENSION}", x, y, n)


def nearest_close(n: int) -> Row:
    """Points near 1, each with a neighbour 1e-4 away in every dimension."""
    x = np.random.default_rng(0).uniform(size=(1000, 64)).astype(np.float32) + 1
    y = x + np.float32(1e-4)
    sides = {
        US: lambda: np.sqrt(nearest(x, y)[0]),
        "torch.cdist": lambda: peers.nearest_torch(x, y, 1),
        "scikit-learn": lambda: peers.nearest_sklearn(x, y, 1),
    }
    truth = np.sqrt(np.square(y.astype(np.float64) - x).sum(1, keepdims=True))
    return Row("distance of a near copy", sides, truth, "differences in float64")


def membership(real: np.ndarray, fake: np.ndarray, k: int) -> np.ndarray:
    """Precision, recall, density and coverage (Kynkaanniemi et al. 2019; Naeem et al. 2020) of whole numbers,
    whose products float64 holds exactly."""

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = a.astype(np.float64), b.astype(np.float64)
        return np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T

    radii = [np.partition(squared(z, z), k, axis=1)[:, k] for z in (real, fake)]
    across = squared(real, fake)
    in_real, in_fake = across <= radii[0][:, None], across <= radii[1]
    return np.array([in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean()])


def prdc_large(n: int) -> Row:
    """Features on 256 levels, which whole numbers hold."""
    whole = [np.rint(64 * z).astype(np.float32) for z in two_sets(n, DIMENSION, 1.0, np.float64)[:2]]
    sides = {
        US: lambda: np.array(prdc(*whole, 5)),
        "prdc": lambda: peers.prdc(*whole, 5),
        "torch-fidelity, 2 of the 4": lambda: np.append(peers.precision_recall_torch_fidelity(*whole, 5), truth[2:]),
    }
    truth = membership(*whole, 5)
    return Row(f"precision, recall, density, coverage, {n:,} x {DIMENSION} twice", sides, truth, "whole numbers", 2 * n)


def prdc_ties(n: int) -> Row:
    real, fake = (np.random.default_rng(i).integers(0, 3, (1000, 6)).astype(np.float32) for i in range(2))
    sides = {
        US: lambda: np.array(prdc(real, fake, 5)),
        "prdc": lambda: peers.prdc(real, fake, 5),
    }
    return Row("precision, recall, density, coverage among ties", sides, membership(real, fake, 5), "whole numbers")


# Inception Score


def score_row(title: str, logits: np.ndarray, splits: int, truth: np.ndarray, source: str, count: int) -> Row:
    sides = {
        US: lambda: np.array(inception_score(logits, splits, shuffle=2020)[:2]),
        "torch-fidelity": lambda: peers.inception_score_torch_fidelity(logits, splits),
        "torchmetrics": lambda: peers.inception_score_torchmetrics(logits, splits),
    }
    return Row(title, sides, truth, source, count)


def score_large(n: int) -> Row:
    logits = 3 * np.random.default_rng(0).normal(size=(n, 1008)).astype(np.float32)
    log_p = scipy.special.log_softmax(logits[np.random.RandomState(2020).permutation(n)].astype(np.float64), axis=1)
    parts = [log_p[i * n // 10 : (i + 1) * n // 10] for i in range(10)]
    found = [np.exp(scipy.special.rel_entr(np.exp(p), np.exp(p).mean(0)).sum(1).mean()) for p in parts]
    truth = np.array([np.mean(found), np.std(found)])
    return score_row(f"Inception Score, {n:,} x 1008, 10 splits", logits, 10, truth, "float64", n)


def score_of_sure(n: int) -> Row:
    """Images each sure of one of 4 classes, with 4, 2 and 1 of the classes in the splits: the score is their number."""
    order = np.random.RandomState(2020).permutation(12)
    logits = np.full((12, 4), -200.0)
    logits[order, [0, 1, 2, 3, 0, 1, 0, 1, 2, 2, 2, 2]] = 0
    truth = np.array([7 / 3, np.std([4, 2, 1])])
    return score_row("Inception Score of 4, 2 and 1 sure classes, ±", logits, 3, truth, "closed form", 0)


TIMED = (frechet_full, frechet_root, kid_subsets, nearest_large, prdc_large, score_large)
JUDGED = (frechet_few, frechet_steep, kid_small, nearest_close, prdc_ties, score_of_sure)
