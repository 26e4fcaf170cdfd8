"""The rows of metrics.py on images: Inception features, LPIPS, SSIM and what goes with it, resizing."""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import metrics_peers as peers
import numpy as np
import torch
from metrics import US, Row
from scipy.ndimage import correlate1d

from jaxgen.evaluate.extractors import inception, resize
from jaxgen.evaluate.paired import lpips
from jaxgen.evaluate.paired import similarity as paired

sys.path.append(str(Path(__file__).parents[2] / "tests"))
import hashed  # noqa: E402  (networks of full size, whose weights follow from their names)

BACKBONES = {
    "alex": (lpips.ALEX, hashed.alexnet),
    "vgg": (lpips.VGG, hashed.vgg16),
    "squeeze": (lpips.SQUEEZE, hashed.squeezenet),
}
PAIRS = 16


def pictures(n: int, side: int) -> np.ndarray:
    """uint8 [n, side, side, 3]."""
    return np.stack([hashed.image(f"picture {i}", side, side) for i in range(n)])


def noisy_pairs(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1] and the same with noise, float32 [n, side, side, 3]; each has more of it than the one before."""
    x = pictures(n, side) / 255.0
    noise = np.random.default_rng(0).normal(size=x.shape) * np.linspace(0.02, 0.3, n)[:, None, None, None]
    return x.astype(np.float32), np.clip(x + noise, 0, 1).astype(np.float32)


# Networks


def inception_row(title: str, images: np.ndarray, count: int) -> Row:
    state = hashed.inception()
    network = inception.extractor(state, "of no file")
    run = jax.jit(network.fn)
    exact = peers.inception(state, torch.float64)["torch-fidelity"](images)
    others = {name: lambda f=f: f(images) for name, f in peers.inception(state).items()}
    ours = {US: lambda: np.asarray(run(network.params, images)["features"])}
    return Row(title, ours | others, exact, "torch-fidelity in float64", count)


def inception_large(n: int) -> Row:
    return inception_row("Inception features, 8 images of 299 x 299", pictures(8, 299), 8)


def inception_small(n: int) -> Row:
    return inception_row("Inception features, 4 images of 32 x 32", pictures(4, 32), 0)


def lpips_row(net: str) -> Row:
    trunk, make = BACKBONES[net]
    state = make()
    x, y = (2 * image - 1 for image in noisy_pairs(PAIRS, 128))
    params = {lpips.NETWORK: lpips.frozen_lpips(state, peers.heads(net), trunk)}
    run = jax.jit(lambda params, x, y: lpips.lpips(params, x, y, trunk))
    exact = peers.lpips(net, state, torch.float64)["lpips"](x, y)
    others = {name: lambda f=f: f(x, y) for name, f in peers.lpips(net, state).items()}
    ours = {US: lambda: np.asarray(run(params, x, y))}
    title = f"LPIPS, {net}, {PAIRS} pairs of 128 x 128"
    return Row(title, ours | others, exact, "lpips in float64", PAIRS)


def lpips_alex(n: int) -> Row:
    return lpips_row("alex")


def lpips_vgg(n: int) -> Row:
    return lpips_row("vgg")


def lpips_squeeze(n: int) -> Row:
    return lpips_row("squeeze")


# Pairs


def jitted(fn: Any, x: np.ndarray, y: np.ndarray) -> Any:
    run = jax.jit(lambda x, y: fn(x, y, 1.0))
    return lambda: np.asarray(run(x, y))


def psnr(n: int) -> Row:
    x, y = noisy_pairs(PAIRS, 256)
    truth = -10 * np.log10(np.square(x.astype(np.float64) - y).mean((1, 2, 3)))
    sides = {US: jitted(paired.psnr, x, y), "scikit-image": lambda: peers.psnr_skimage(x, y)}
    return Row(f"PSNR, {PAIRS} pairs of 256 x 256", sides, truth, "float64", PAIRS)


def psnr_mean(n: int) -> Row:
    """Two pairs, a constant 0.5 and 0.05 apart."""
    x, y = np.zeros((2, 16, 16, 3)), np.stack([np.full((16, 16, 3), 0.5), np.full((16, 16, 3), 0.05)])
    sides = {
        US: lambda: np.asarray(paired.psnr(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), 1.0)).mean(),
        "scikit-image": lambda: peers.psnr_skimage(x, y).mean(),
        "torchmetrics": lambda: peers.psnr_torchmetrics(x, y),
    }
    return Row("mean PSNR of a batch", sides, 10 * np.log10(4 * 400) / 2, "closed form")


def structure(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """l and cs of Wang et al. (2004) in float64, where the window of 11 x 11 lies in the image."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    taps = np.exp(-0.5 * np.square(np.arange(-5, 6) / 1.5))

    def window(z: np.ndarray) -> np.ndarray:
        for axis in (1, 2):
            z = correlate1d(z, taps / taps.sum(), axis)
        return z[:, 5:-5, 5:-5]

    mx, my, xx, yy, xy = (window(z) for z in (x, y, x * x, y * y, x * y))
    luminance = (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
    return luminance, (2 * (xy - mx * my) + 0.03**2) / (xx - mx**2 + yy - my**2 + 0.03**2)


def ssim(n: int) -> Row:
    x, y = noisy_pairs(PAIRS, 256)
    luminance, contrast = structure(x, y)
    sides = {
        US: jitted(paired.ssim, x, y),
        "scikit-image": lambda: peers.ssim_skimage(x, y),
        "pytorch-msssim": lambda: peers.ssim_msssim(x, y),
        "torchmetrics": lambda: peers.ssim_torchmetrics(x, y),
    }
    truth = (luminance * contrast).mean((1, 2, 3))
    return Row(f"SSIM, {PAIRS} pairs of 256 x 256", sides, truth, "float64", PAIRS)


def ms_ssim(n: int) -> Row:
    x, y = noisy_pairs(PAIRS, 256)
    sides = {
        US: jitted(paired.ms_ssim, x, y),
        "pytorch-msssim": lambda: peers.ms_ssim_msssim(x, y),
        "torchmetrics": lambda: peers.ms_ssim_torchmetrics(x, y),
    }
    product, at, to = 1.0, x.astype(np.float64), y.astype(np.float64)
    for j, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        luminance, contrast = structure(at, to)
        product = product * (luminance * contrast if j == 4 else contrast).mean((1, 2)) ** weight
        at, to = (z.reshape(len(z), z.shape[1] // 2, 2, -1, 2, 3).mean((2, 4)) for z in (at, to))
    return Row(f"MS-SSIM, {PAIRS} pairs of 256 x 256", sides, product.mean(-1), "float64", PAIRS)


# Resizing

FROM, TO, MANY = 256, 299, 16


def resize_tf1(n: int) -> Row:
    x = pictures(MANY, FROM).astype(np.float32)
    run = jax.jit(lambda x: resize.tf1_bilinear(x, TO, TO))
    at = np.arange(TO) * (FROM / TO)
    low = at.astype(int)
    high, part = np.minimum(low + 1, FROM - 1), at - low
    rows = x[:, low] + part[:, None, None] * (x[:, high].astype(np.float64) - x[:, low])
    truth = rows[:, :, low] + part[:, None] * (rows[:, :, high] - rows[:, :, low])
    sides = {US: lambda: np.asarray(run(x)), "torch-fidelity": lambda: peers.tf1_bilinear(x, TO)}
    return Row(f"resize {FROM} to {TO}, TensorFlow 1's bilinear, {MANY} images", sides, truth, "float64", MANY)


def resize_clean(n: int) -> Row:
    x = pictures(MANY, FROM).astype(np.float32)
    run = jax.jit(lambda x: resize.pil_bicubic_float(x, TO, TO))
    exact = peers.torch_resize(x.astype(np.float64), TO, "bicubic", antialias=True)
    sides = {US: lambda: np.asarray(run(x)), "Pillow": lambda: peers.pillow_float(x, TO)}
    title = f"resize {FROM} to {TO}, Pillow's bicubic in float, {MANY} images"
    return Row(title, sides, np.clip(exact, 0, 255), "PyTorch in float64", MANY)


def resize_pillow(n: int) -> Row:
    x = pictures(MANY, FROM)
    run = jax.jit(lambda x: resize.pil_bicubic(x, 224, 224))
    sides = {US: lambda: np.asarray(run(x)), "Pillow": lambda: peers.pillow(x, 224)}
    title = f"resize {FROM} to 224, Pillow's bicubic in uint8, {MANY} images"
    return Row(title, sides, peers.pillow(x, 224), "Pillow", MANY)


TIMED = (
    inception_large,
    lpips_alex,
    lpips_vgg,
    lpips_squeeze,
    psnr,
    ssim,
    ms_ssim,
    resize_tf1,
    resize_clean,
    resize_pillow,
)
JUDGED = (inception_small, psnr_mean)
