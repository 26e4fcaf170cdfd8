"""Writes perceptual.npz of this folder from the hashed weights of tests/hashed.py, in float64.

    PYTHONPATH=tests python tests/golden/metrics/make_perceptual.py

Needs torch, torchvision, torch-fidelity and stlpips-pytorch, whose own networks are run: shift-tolerant LPIPS with
AlexNet of two pairs of images; fc2 of VGG16, with 16 features in place of 4096, as torch-fidelity's extractor sees one
image; EfficientNet-Lite0, written with torch's functions, of two images.
"""

import sys
from pathlib import Path
from types import ModuleType

import hashed
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 16
HERE = Path(__file__).parent
torch.set_default_dtype(torch.float64)
try:
    import torchvision  # noqa: F401
except RuntimeError:  # a build for CUDA beside a torch for the CPU misses operators, of which none is used here
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def tensors(state: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(array, np.float64)) for name, array in state.items()}


def images(*names: str, side: int) -> Tensor:
    return torch.from_numpy(np.stack([hashed.image(name, side, side) for name in names])).permute(0, 3, 1, 2)


def shift_tolerant() -> np.ndarray:
    for name, used in (("IPython", "embed"), ("torchsummary", "summary")):  # imported there, never called
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], used, None)
    from stlpips_pytorch import stlpips

    net = stlpips.LPIPS(net="alex", variant="shift_tolerant", pretrained=False, verbose=False)
    net = net.double()
    net.load_state_dict(tensors(hashed.shift_tolerant_alexnet()), strict=False)
    x, y = (images(f"{side}0", f"{side}1", side=40).double() / 127.5 - 1 for side in "xy")
    return net(x, y).detach().numpy().ravel()


def fc2() -> np.ndarray:
    from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
    from torchvision.models import vgg16

    extractor = FeatureExtractorVGG16.__new__(FeatureExtractorVGG16)
    nn.Module.__init__(extractor)
    extractor.features_list, extractor.feature_extractor_internal_dtype = ["fc2_relu"], torch.float64
    model = vgg16()
    model.classifier = nn.Sequential(nn.Linear(512 * 49, WIDTH), nn.ReLU(), nn.Dropout(), nn.Linear(WIDTH, WIDTH))
    model.load_state_dict(tensors(hashed.vgg16() | hashed.vgg16_classifier(WIDTH)))
    extractor.model = model.eval()
    with torch.no_grad():
        return extractor(images("x0", side=40))[0].numpy()


def same(x: Tensor, k: int, stride: int) -> Tensor:
    """TensorFlow's padding."""
    pads = []
    for size in x.shape[:1:-1]:
        missing = max(0, (-(-size // stride) - 1) * stride + k - size)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads)


def lite0() -> tuple[np.ndarray, np.ndarray]:
    state = tensors(hashed.efficientnet_lite0())

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(same(x, weight.shape[-1], stride), weight, stride=stride, groups=groups)
        scale, bias, mean, var = (state[f"{norm}.{leaf}"] for leaf in ("weight", "bias", "running_mean", "running_var"))
        return F.batch_norm(x, mean, var, scale, bias, eps=1e-3)

    x = F.relu6(layer((images("x0", "x1", side=40).double() - 127) / 128, "_conv_stem", "_bn0", 2))
    strides = [
        s for (count, *_), s in zip(hashed.LITE0, (1, 2, 2, 2, 1, 2, 1), strict=True) for s in (s, *[1] * (count - 1))
    ]
    for at, stride in enumerate(strides):
        block, y = f"_blocks.{at}", x
        if at:
            y = F.relu6(layer(y, f"{block}._expand_conv", f"{block}._bn0"))
        y = F.relu6(layer(y, f"{block}._depthwise_conv", f"{block}._bn1", stride))
        y = layer(y, f"{block}._project_conv", f"{block}._bn2")
        x = x + y if x.shape == y.shape else y
    pooled = F.relu6(layer(x, "_conv_head", "_bn1")).mean((2, 3))
    return pooled.numpy(), F.linear(pooled, state["_fc.weight"], state["_fc.bias"]).numpy()


if __name__ == "__main__":
    pooled, logits = lite0()
    np.savez_compressed(
        HERE / "perceptual.npz", st_lpips=shift_tolerant(), vgg_fc2=fc2(), lite0_pooled=pooled, lite0_logits=logits
    )
