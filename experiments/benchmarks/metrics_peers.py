"""The other libraries of metrics.py behind one face: images [n, H, W, 3] or features [n, d] in NumPy in, numbers out.

What they compute is left as it is. Where one draws an order at random, it is given ours; where a network wants a file
of weights, it gets that of jaxgen's.
"""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # A build for CUDA beside a PyTorch for the CPU misses operators of its own, of which names will do.
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

warnings.filterwarnings("ignore", module="torch|skimage|lpips")

import lpips as lpips_package  # noqa: E402
import prdc as prdc_package  # noqa: E402
import pytorch_msssim  # noqa: E402
import scipy.linalg  # noqa: E402
import skimage.metrics  # noqa: E402
import torch_fidelity.metric_fid  # noqa: E402
import torch_fidelity.metric_isc  # noqa: E402
import torch_fidelity.metric_kid  # noqa: E402
import torch_fidelity.metric_prc  # noqa: E402
import torchmetrics.functional.image  # noqa: E402
import torchmetrics.image  # noqa: E402
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: E402
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x  # noqa: E402
from torchmetrics.functional.image.lpips import _LPIPS as TorchmetricsLPIPS  # noqa: E402
from torchmetrics.image.fid import NoTrainInceptionV3, _compute_fid  # noqa: E402

State = Mapping[str, np.ndarray]
Metric = Callable[..., float | np.ndarray]
Statistics = tuple[np.ndarray, np.ndarray]  # a mean [d] and a covariance [d, d]
FEATURES = torch.nn.Identity()  # for a metric that is given features as they are


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def channels_first(x: np.ndarray) -> torch.Tensor:
    """[n, H, W, C] as PyTorch has images, [n, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


# Of features


def frechet_torch_fidelity(x: np.ndarray, y: np.ndarray) -> float:
    return root_torch_fidelity(*(statistics_torch_fidelity(z) for z in (x, y)))


def statistics_torch_fidelity(x: np.ndarray) -> Statistics:
    found = torch_fidelity.metric_fid.fid_features_to_statistics(torch.from_numpy(x))
    return found["mu"], found["sigma"]


def root_torch_fidelity(a: Statistics, b: Statistics) -> float:
    one, other = ({"mu": mu.astype(np.float64), "sigma": sigma} for mu, sigma in (a, b))
    return torch_fidelity.metric_fid.fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]


def frechet_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    """Its sums in float64, as its class has them, and its distance."""
    module = torch.nn.Identity()
    module.num_features = x.shape[1]
    metric = torchmetrics.image.FrechetInceptionDistance(module).set_dtype(torch.float64)
    metric.update(torch.from_numpy(x), real=True)
    metric.update(torch.from_numpy(y), real=False)
    return float(metric.compute())


def root_torchmetrics(a: Statistics, b: Statistics) -> float:
    return float(_compute_fid(*(torch.from_numpy(part.astype(np.float64)) for part in (*a, *b))))


def frechet_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """What pytorch-fid and clean-fid compute, by SciPy's root of a matrix, with nothing added to a diagonal."""
    (mu, s), (nu, t) = ((z.mean(0, dtype=np.float64), np.cov(z, rowvar=False)) for z in (x, y))
    root = scipy.linalg.sqrtm(s @ t).real
    return float(np.square(mu - nu).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(root))


def kid_torch_fidelity(x: np.ndarray, y: np.ndarray, subsets: int, size: int) -> np.ndarray:
    found = torch_fidelity.metric_kid.kid_features_to_metric(
        *tensors(x, y), kid_subsets=subsets, kid_subset_size=size, rng_seed=2020, verbose=False
    )
    return np.array([found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]])


def kid_torchmetrics(x: np.ndarray, y: np.ndarray, subsets: int, size: int) -> np.ndarray:
    """On the subsets of torch-fidelity's seed."""
    rng = np.random.RandomState(2020)

    def permutation(n: int) -> torch.Tensor:
        return torch.from_numpy(rng.choice(n, size, replace=False))

    with warnings.catch_warnings(), mock.patch("torch.randperm", permutation):
        warnings.simplefilter("ignore")
        metric = torchmetrics.image.KernelInceptionDistance(FEATURES, subsets=subsets, subset_size=size)
        metric.update(torch.from_numpy(x), real=True)
        metric.update(torch.from_numpy(y), real=False)
        return np.array([float(v) for v in metric.compute()])


def precision_recall_torch_fidelity(real: np.ndarray, fake: np.ndarray, k: int) -> np.ndarray:
    found = torch_fidelity.metric_prc.prc_features_to_metric(
        *tensors(fake, real), prc_neighborhood=k, prc_batch_size=10_000, save_cpu_ram=False, verbose=False
    )
    return np.array([found["precision"], found["recall"]])


def prdc(real: np.ndarray, fake: np.ndarray, k: int) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        found = prdc_package.compute_prdc(real, fake, k)
    return np.array([found[name] for name in ("precision", "recall", "density", "coverage")])


def nearest_torch(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Distances to the k nearest by `torch.cdist` and `topk`."""
    return torch.cdist(*tensors(x, y)).topk(k, largest=False).values.numpy()


def nearest_sklearn(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(y).kneighbors(x)[0]


def inception_score_torch_fidelity(logits: np.ndarray, splits: int) -> np.ndarray:
    found = torch_fidelity.metric_isc.isc_features_to_metric(torch.from_numpy(logits), splits, shuffle=True)
    return np.array([found["inception_score_mean"], found["inception_score_std"]])


def inception_score_torchmetrics(logits: np.ndarray, splits: int) -> np.ndarray:
    """In torch-fidelity's order."""
    order = torch.from_numpy(np.random.RandomState(2020).permutation(len(logits)))
    with warnings.catch_warnings(), mock.patch("torch.randperm", lambda n: order):
        warnings.simplefilter("ignore")
        metric = torchmetrics.image.InceptionScore(FEATURES, splits=splits)
        metric.update(torch.from_numpy(logits))
        return np.array([float(v) for v in metric.compute()])


# Of pairs of images in [0, 1]


def psnr_skimage(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([skimage.metrics.peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(x, y, strict=True)])


def psnr_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    """As it is by default, of one mean squared error over the batch."""
    return float(torchmetrics.functional.image.peak_signal_noise_ratio(*tensors(x, y), data_range=1.0))


def ssim_skimage(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As its documentation has it for Wang et al. (2004)."""
    rule = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return np.array(
        [skimage.metrics.structural_similarity(a, b, channel_axis=-1, **rule) for a, b in zip(x, y, strict=True)]
    )


def ssim_msssim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return pytorch_msssim.ssim(channels_first(x), channels_first(y), data_range=1.0, size_average=False).numpy()


def ssim_torchmetrics(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return torchmetrics.functional.image.structural_similarity_index_measure(
        channels_first(x), channels_first(y), data_range=1.0, reduction="none"
    ).numpy()


def ms_ssim_msssim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return pytorch_msssim.ms_ssim(channels_first(x), channels_first(y), data_range=1.0, size_average=False).numpy()


def ms_ssim_torchmetrics(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return torchmetrics.functional.image.multiscale_structural_similarity_index_measure(
        channels_first(x), channels_first(y), data_range=1.0, reduction="none"
    ).numpy()


# Networks: the weights, in PyTorch's layout, give (images or pairs of them) -> numbers


def inception(state: State, dtype: torch.dtype = torch.float32) -> dict[str, Metric]:
    """2048 features of images in uint8, by torch-fidelity and, with its own antialiased resize, torchmetrics."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, path)
        fidelity = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
        metrics = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))
    fidelity.feature_extractor_internal_dtype = dtype
    fidelity.to(dtype)

    def run(network: torch.nn.Module) -> Metric:
        def features(images: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                found = network(channels_first(images))
            return (found[0] if isinstance(found, tuple) else found).numpy()

        return features

    return {"torch-fidelity": run(fidelity), "torchmetrics": run(metrics)}


def heads(net: str) -> dict[str, np.ndarray]:
    """The published linear layers, out of the package lpips."""
    path = Path(lpips_package.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    return {name: value.numpy() for name, value in torch.load(path, map_location="cpu", weights_only=True).items()}


def lpips_networks(net: str, state: State, dtype: torch.dtype = torch.float32) -> dict[str, torch.nn.Module]:
    """LPIPS of the network `state` with the published heads."""
    made = {
        "lpips": lpips_package.LPIPS(net=net, pnet_rand=True, verbose=False),
        "torchmetrics": TorchmetricsLPIPS(net=net, pnet_rand=True),
    }
    for module in made.values():
        names = {name: re.sub(r"slices?\.?\d+\.", "features.", name) for name in module.net.state_dict()}
        module.net.load_state_dict({name: torch.from_numpy(state[published]) for name, published in names.items()})
        module.to(dtype)
    return made


def lpips(net: str, state: State, dtype: torch.dtype = torch.float32) -> dict[str, Metric]:
    """Distances [n] of pairs in [-1, 1]."""

    def run(module: torch.nn.Module) -> Metric:
        def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return module(channels_first(x).to(dtype), channels_first(y).to(dtype)).flatten().numpy()

        return distances

    return {name: run(module) for name, module in lpips_networks(net, state, dtype).items()}


# Resizing of images in levels 0 ... 255


def tf1_bilinear(x: np.ndarray, side: int) -> np.ndarray:
    size = (side, side)
    found = interpolate_bilinear_2d_like_tensorflow1x(channels_first(x), size, align_corners=False)
    return np.moveaxis(found.numpy(), 1, -1)


def torch_resize(x: np.ndarray, side: int, mode: str, antialias: bool = False) -> np.ndarray:
    found = torch.nn.functional.interpolate(channels_first(x), (side, side), mode=mode, antialias=antialias)
    return np.moveaxis(found.numpy(), 1, -1)


def pillow(x: np.ndarray, side: int) -> np.ndarray:
    """Bicubic, of uint8 images."""
    return np.stack([Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC) for image in x])


def pillow_float(x: np.ndarray, side: int) -> np.ndarray:
    """Bicubic, of the channels of float images by themselves, and clipped: what clean-fid does."""
    channels = [[pillow(channel[None], side)[0] for channel in np.moveaxis(image, -1, 0)] for image in x]
    return np.clip(np.moveaxis(np.array(channels), 1, -1), 0, 255)
