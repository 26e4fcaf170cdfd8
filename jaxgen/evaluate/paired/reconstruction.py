r"""What an autoencoder keeps of images, and how it uses its codebooks, over a whole split.

    MSE = mean over images of mean_d (x_d - y_d)^2,   PSNR = -10 log10 MSE dB,   x, y in [0, 1]
    perplexity = exp(-sum_k p_k log p_k),   p_k the share of all latent vectors that code k stands for

The PSNR is that of the mean error, not the mean over images, which an image without error makes infinite. The
perplexity of a batch is bounded by how many vectors it has; that of a split is what the codebook is worth.
"""

from collections.abc import Sequence

import numpy as np

from jaxgen.evaluate.pixels import to_levels
from jaxgen.evaluate.result import Result


def errors(x: np.ndarray, made: np.ndarray, levels: int) -> np.ndarray:
    """The squared error of each image [n] between x and made [n, ...] in integer units 0 ... levels - 1."""
    if x.shape != made.shape:
        raise ValueError(f"reconstructions must have the shape of the images {x.shape}, got {made.shape}.")
    difference = to_levels(x, levels) - to_levels(made, levels)
    return np.mean(np.square(difference), axis=tuple(range(1, difference.ndim)))


def uses(indices: Sequence[np.ndarray], codebooks: Sequence[int]) -> list[np.ndarray]:
    """How often each code of each codebook is used [K], from the indices [n, ...] of its vectors. Batches add up."""
    return [np.bincount(index.ravel(), minlength=size) for index, size in zip(indices, codebooks, strict=True)]


def figures(squared: np.ndarray, counts: Sequence[np.ndarray] = ()) -> list[Result]:
    """`errors` [n] and `uses` as figures with standard errors."""
    n, mse = len(squared), float(squared.mean())
    error = float(squared.std(ddof=1) / n**0.5) if n > 1 else None
    relative = None if error is None or mse == 0 else error / mse
    found = [
        Result("MSE", mse, "mean squared error of reconstructions in whole levels, on the scale [0, 1]", n, error),
        Result(
            "PSNR",
            float(-10 * np.log10(mse)) if mse else float("inf"),
            "-10 log10 of that",
            n,
            None if relative is None else float(10 / np.log(10) * relative),
            "dB",
        ),
    ]
    for i, count in enumerate(counts):
        name = f"/{i}" if len(counts) > 1 else ""
        p = count[count > 0] / count.sum()
        found += [
            Result(f"codes_used{name}", float(np.mean(count > 0)), f"share of the {len(count)} codes in use", n),
            Result(
                f"perplexity{name}",
                float(np.exp(-np.sum(p * np.log(p)))),
                f"of the codes of {count.sum():,} vectors; at most {len(count)}",
                n,
            ),
        ]
    return found
