"""Writes i3d.npz, torchvision_inception.npz and torchscript.pt of this folder, with torch and torchvision, from the
hashed weights of tests/hashed.py.

    PYTHONPATH=tests python tests/golden/metrics/make.py

i3d.npz: I3D as TensorFlow runs it, in float64, of one clip of 9 frames; names and shapes of its state dict as
kinetics_i3d_pytorch has them. torchvision_inception.npz: torchvision's own network, of one image. torchscript.pt: an
archive of scripted modules, one of them shared.
"""

from pathlib import Path

import hashed
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).parent


def same(x: Tensor, window: tuple[int, ...], stride: tuple[int, ...], value: float) -> Tensor:
    """TensorFlow's padding: as many outputs as every stride-th input, the odd one of the border at the end."""
    pads = []
    for size, k, s in zip(x.shape[2:], window, stride, strict=True):
        missing = max(0, (-(-size // s) - 1) * s + k - size)
        pads = [missing // 2, missing - missing // 2, *pads]
    return F.pad(x, pads, value=value)


class Unit(nn.Module):
    def __init__(self, inputs: int, outputs: int, k: int = 1, stride: int = 1, last: bool = False):
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, k, stride, bias=last)
        self.batch3d = None if last else nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(same(x, self.conv3d.kernel_size, self.conv3d.stride, 0.0))
        return x if self.batch3d is None else torch.relu(self.batch3d(x))


class Pool(nn.Module):
    def __init__(self, window: tuple[int, ...], stride: tuple[int, ...]):
        super().__init__()
        self.window, self.stride = window, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(same(x, self.window, self.stride, -torch.inf), self.window, self.stride)


class Mixed(nn.Module):
    def __init__(self, inputs: int, o: tuple[int, ...]):
        super().__init__()
        self.branch_0 = Unit(inputs, o[0])
        self.branch_1 = nn.Sequential(Unit(inputs, o[1]), Unit(o[1], o[2], 3))
        self.branch_2 = nn.Sequential(Unit(inputs, o[3]), Unit(o[3], o[4], 3))
        self.branch_3 = nn.Sequential(Pool((3, 3, 3), (1, 1, 1)), Unit(inputs, o[5]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], 1)


class I3D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.pool2a = Pool((1, 3, 3), (1, 2, 2))
        self.conv3d_2b_1x1 = Unit(64, 64)
        self.conv3d_2c_3x3 = Unit(64, 192, 3)
        self.pool3a = Pool((1, 3, 3), (1, 2, 2))
        self.mixed_3b = Mixed(192, (64, 96, 128, 16, 32, 32))
        self.mixed_3c = Mixed(256, (128, 128, 192, 32, 96, 64))
        self.pool4a = Pool((3, 3, 3), (2, 2, 2))
        self.mixed_4b = Mixed(480, (192, 96, 208, 16, 48, 64))
        self.mixed_4c = Mixed(512, (160, 112, 224, 24, 64, 64))
        self.mixed_4d = Mixed(512, (128, 128, 256, 24, 64, 64))
        self.mixed_4e = Mixed(512, (112, 144, 288, 32, 64, 64))
        self.mixed_4f = Mixed(528, (256, 160, 320, 32, 128, 128))
        self.pool5a = Pool((2, 2, 2), (2, 2, 2))
        self.mixed_5b = Mixed(832, (256, 160, 320, 32, 128, 128))
        self.mixed_5c = Mixed(832, (384, 192, 384, 48, 128, 128))
        self.pool6a = nn.AvgPool3d((2, 7, 7), (1, 1, 1))
        self.conv3d_0c_1x1 = Unit(1024, 400, last=True)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x.squeeze(4).squeeze(3).mean(2)


def i3d() -> None:
    module = I3D().eval()
    shapes = {name: tuple(x.shape) for name, x in module.state_dict().items() if x.ndim}
    module.load_state_dict(
        {name: torch.from_numpy(x) for name, x in hashed.state(shapes, "i3d/").items()}, strict=False
    )
    clip = np.stack([hashed.image(f"golden/i3d/{t}", 40, 48) for t in range(9)])
    frames = torch.from_numpy(clip).double().permute(0, 3, 1, 2)
    resized = F.interpolate(frames, (224, 224), mode="bilinear", align_corners=False)
    with torch.no_grad():
        logits = module.double()(2 * resized.permute(1, 0, 2, 3)[None] / 255 - 1)
    sizes = np.array([(*shape, *[0] * (5 - len(shape))) for shape in shapes.values()], np.int16)
    np.savez_compressed(HERE / "i3d.npz", clip=clip, logits=logits.float().numpy(), names=[*shapes], shapes=sizes)
    print("i3d", logits.std().item(), logits[0, :4].tolist())


def torchvision_inception() -> None:
    from torchvision.models import inception_v3

    module = inception_v3(weights=None, transform_input=True, init_weights=False).eval()
    shapes = {name: tuple(x.shape) for name, x in module.state_dict().items() if x.ndim}
    state = hashed.state(shapes)
    module.load_state_dict({name: torch.from_numpy(x) for name, x in state.items()}, strict=False)
    image = torch.from_numpy(hashed.image("golden/s299/0", 299, 299)).permute(2, 0, 1) / 255
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        logits = module(((image - mean) / deviation)[None])
    np.savez_compressed(HERE / "torchvision_inception.npz", logits=logits.numpy())


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.sizes, self.scales, self.names, self.table = [1, 2], [0.5], ["a"], {"a": 1}

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)) * self.scales[0] + self.sizes[0] + self.table[self.names[0]]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        shared = Block()
        self.blocks = nn.Sequential(Block(), nn.ReLU(), shared)
        self.again = shared
        self.projection = nn.Parameter(torch.zeros(3, 4))
        self.register_buffer("mask", torch.zeros(2, 2, dtype=torch.float16))

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.blocks(x))


def torchscript() -> None:
    net = Net().eval()
    shapes = {name: tuple(x.shape) for name, x in net.state_dict().items() if x.ndim}
    shared = {name: name.replace("again.", "blocks.2.") for name in shapes}
    state = hashed.state({name: shapes[name] for name in shared.values()}, "script/")
    net.load_state_dict({name: torch.from_numpy(state[held]) for name, held in shared.items()}, strict=False)
    torch.jit.save(torch.jit.script(net), HERE / "torchscript.pt")


if __name__ == "__main__":
    i3d()
    torchvision_inception()
    torchscript()
