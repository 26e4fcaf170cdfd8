"""Numbers that follow from a name alone, so that networks of full size are tested against arrays of results only."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

NAMES = Path(__file__).parent / "golden" / "inception_v3_state_dict.json"


def uniform(name: str, n: int) -> np.ndarray:
    """n numbers in [0, 1): SplitMix64 of a counter that starts at crc32(name) 2^32."""
    start = (zlib.crc32(name.encode()) << 32) + 0x9E3779B97F4A7C15
    z = np.arange(n, dtype=np.uint64) + np.uint64(start % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight in PyTorch's layout, float32: its scale follows from the last part of its name and its fan in."""
    u = 2 * uniform(name, int(np.prod(shape))).reshape(shape) - 1
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        u = 1 + 0.2 * u
    elif leaf == "weight" and len(shape) == 1:
        u = 1 + 0.1 * u
    elif len(shape) <= 1:
        u = 0.1 * u
    else:
        u = u * np.sqrt(6 / np.prod(shape[1:]))
    return u.astype(np.float32)


def image(name: str, height: int, width: int) -> np.ndarray:
    """Pixels [H, W, 3], uint8: 6 x 6 patches, a ramp and noise."""
    y, x = np.indices((height, width))
    patches = uniform(f"{name}/lo", 108).reshape(6, 6, 3)[y * 6 // height, x * 6 // width]
    noise = uniform(f"{name}/hi", height * width * 3).reshape(height, width, 3)
    mixed = 0.55 * patches + 0.3 * ((y + 2 * x) % 64)[..., None] / 63 + 0.15 * noise
    return np.floor(256 * np.clip(mixed, 0, 0.999999)).astype(np.uint8)


def state(shapes: Mapping[str, tuple[int, ...]], salt: str = "") -> dict[str, np.ndarray]:
    """A state dict of these names and shapes."""
    return {name: tensor(salt + name, tuple(shape)) for name, shape in shapes.items()}


def inception() -> dict[str, np.ndarray]:
    """A state dict of the FID network, names and shapes as published."""
    names = json.loads(NAMES.read_text())["state_dict"]
    return {
        name: np.zeros((), np.int64) if name.endswith("num_batches_tracked") else tensor(name, tuple(shape))
        for name, shape in names
    }


def vgg16() -> dict[str, np.ndarray]:
    """A state dict of VGG16, names and shapes as torchvision's."""
    state, at, inputs = {}, 0, 3
    for features in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        if not features:  # a maximum
            at += 1
            continue
        for leaf, shape in (("weight", (features, inputs, 3, 3)), ("bias", (features,))):
            state[f"features.{at}.{leaf}"] = tensor(f"vgg/features.{at}.{leaf}", shape)
        at, inputs = at + 2, features
    return state


def vgg16_classifier(width: int) -> dict[str, np.ndarray]:
    """Its first two linear layers, `width` features each."""
    shapes = {"classifier.0.weight": (width, 512 * 49), "classifier.3.weight": (width, width)}
    return state({**shapes, "classifier.0.bias": (width,), "classifier.3.bias": (width,)}, "vgg/")


def convolution(name: str, features: int, inputs: int, size: int) -> dict[str, tuple[int, ...]]:
    """The shapes of its weight and bias."""
    return {f"{name}.weight": (features, inputs, size, size), f"{name}.bias": (features,)}


ALEXNET = (64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)  # features, inputs, kernel


def alexnet() -> dict[str, np.ndarray]:
    """A state dict of AlexNet's convolutions, as torchvision's."""
    places = zip((0, 3, 6, 8, 10), ALEXNET, strict=True)
    shapes = [convolution(f"features.{at}", *layer) for at, layer in places]
    return state({name: shape for layer in shapes for name, shape in layer.items()}, "alex/")


def squeezenet() -> dict[str, np.ndarray]:
    """A state dict of the convolutions of SqueezeNet 1.1, as torchvision's."""
    shapes, inputs = convolution("features.0", 64, 3, 3), 64
    fires = (
        (3, 16, 64),
        (4, 16, 64),
        (6, 32, 128),
        (7, 32, 128),
        (9, 48, 192),
        (10, 48, 192),
        (11, 64, 256),
        (12, 64, 256),
    )
    for at, squeeze, expand in fires:
        shapes |= convolution(f"features.{at}.squeeze", squeeze, inputs, 1)
        shapes |= convolution(f"features.{at}.expand1x1", expand, squeeze, 1)
        shapes |= convolution(f"features.{at}.expand3x3", expand, squeeze, 3)
        inputs = 2 * expand
    return state(shapes, "squeeze/")


def shift_tolerant_alexnet() -> dict[str, np.ndarray]:
    """A state dict of shift-tolerant LPIPS with AlexNet, as stlpips-pytorch's; its linear weights are positive."""
    places = zip(("1.0", "2.5", "3.9", "4.11", "5.13"), ALEXNET, strict=True)
    layers = [convolution(f"net.slice{at}", *layer) for at, layer in places]
    found = state({name: shape for layer in layers for name, shape in layer.items()}, "st/")
    heads = {f"lin{i}.model.1.weight": (1, features, 1, 1) for i, (features, *_) in enumerate(ALEXNET)}
    return found | {name: np.abs(array) for name, array in state(heads, "st/").items()}


def efficientnet_lite0() -> dict[str, np.ndarray]:
    """A state dict of EfficientNet-Lite0, names and shapes as published."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(conv: str, norm: str, *shape: int) -> None:
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{norm}.{leaf}": shape[:1] for leaf in ("weight", "bias", "running_mean", "running_var")})

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    at, inputs = 0, 32
    for count, widening, k, features in LITE0:
        for _ in range(count):
            block, wide = f"_blocks.{at}", widening * inputs
            if widening > 1:
                add(f"{block}._expand_conv", f"{block}._bn0", wide, inputs, 1, 1)
            add(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, k, k)
            add(f"{block}._project_conv", f"{block}._bn2", features, wide, 1, 1)
            at, inputs = at + 1, features
    add("_conv_head", "_bn1", 1280, 320, 1, 1)
    return state(shapes | {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}, "lite0/")


LITE0 = (1, 1, 3, 16), (2, 6, 3, 24), (2, 6, 5, 40), (3, 6, 3, 80), (3, 6, 5, 112), (4, 6, 5, 192), (1, 6, 3, 320)
