"""The roofline: how long a step takes on a device, from what its program computes, moves and sends.

    time = max(FLOPs / peak, bytes of memory / bandwidth, bytes sent / link),    MFU = useful FLOPs / (time peak)

All overlaps perfectly, and all runs at its peak. FLOPs are a property of the model, so that their time alone bounds the
step from below; bytes depend on the compiler, and are as good as their count. Source: Williams, Waterman and Patterson
2009, "Roofline: An Insightful Visual Performance Model"; MFU as in Chowdhery et al. 2022 (PaLM), appendix B.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jaxgen.configuration import unknown
from jaxgen.parallel.collectives import Message


class Device(NamedTuple):
    """One accelerator, per second and in bytes: products of bfloat16 and of float32 numbers (of float32 as JAX forms
    them by default, `passes`); memory and its bandwidth; what it sends in a ring over `link`, which joins `island`
    devices, and over `network`, which joins islands."""

    name: str
    bfloat16: float
    float32: float
    memory: float
    bandwidth: float
    link: float
    island: int
    network: float
    passes: str
    source: str


# Of a torus of TPUs a ring uses one axis, both ways: 2 of the 4 links of a v5e, of the 6 of a v5p.
BF16, TF32 = "passes in bfloat16", "TF32"
TPU = "cloud.google.com/tpu/docs"
DEVICES: Mapping[str, Device] = {
    "v5e": Device("v5e", 197e12, 197e12, 16e9, 819e9, 2 * 50e9, 256, 3.125e9, BF16, f"{TPU}/v5e"),
    "v5p": Device("v5p", 459e12, 459e12, 95e9, 2765e9, 2 * 100e9, 8960, 6.25e9, BF16, f"{TPU}/v5p"),
    "h100": Device("h100", 989e12, 494e12, 80e9, 3.35e12, 450e9, 8, 50e9, TF32, "NVIDIA's data sheet of the H100 SXM"),
    "h200": Device("h200", 989e12, 494e12, 141e9, 4.8e12, 450e9, 8, 50e9, TF32, "NVIDIA's data sheet of the H200 SXM"),
}


class Sent(NamedTuple):
    """Bytes that each device sends for one step, inside its island and to other islands."""

    inside: float
    across: float


class Cost(NamedTuple):
    """What one step asks of each device: FLOPs, bytes of memory read and written, bytes sent to other devices."""

    flops: float
    moved: float
    sent: Sent


class Prediction(NamedTuple):
    """Seconds of computing, memory and links, the longest of which is the step as counted; the MFU of that step, and of
    one that takes no longer than its computing."""

    compute: float
    memory: float
    links: float
    mfu: float
    mfu_of_compute: float

    @property
    def step(self) -> float:
        return max(self.compute, self.memory, self.links)

    @property
    def bound(self) -> str:
        """By what the step is bound, as counted."""
        return max((self.compute, "compute"), (self.memory, "memory"), (self.links, "links"))[1]


def device_of(name: str) -> Device:
    """The device called `name`. Raises ValueError."""
    if name not in DEVICES:
        raise unknown("--device", name, DEVICES)
    return DEVICES[name]


def sent(messages: Iterable[Message], island: int) -> Sent:
    """What each device sends for these collectives on islands of `island` consecutive devices.

    Of m devices of a group in each of g islands a ring sends (m-1)/m of the array inside, and of the m-th part that is
    then a device's (g-1)/g to other islands; an all-reduce sends both twice (Patarasuk and Yuan 2009, ring by ring). In
    an all-to-all a device sends a part of n to each of the n-1 others; in a collective-permute all to one."""
    total = Sent(0.0, 0.0)
    for kind, size, times, groups in messages:
        share = max((of_array(kind, group, island) for group in groups), key=lambda share: (share.across, share.inside))
        total = Sent(*(sum_ + times * size * part for sum_, part in zip(total, share, strict=True)))
    return total


def of_array(kind: str, group: tuple[int, ...], island: int) -> Sent:
    """The parts of the array that each device of a group sends."""
    n, g = len(group), len({device // island for device in group})
    m = -(-n // g)
    if kind == "collective-permute":
        return Sent(float(g == 1), float(g > 1))
    if kind == "all-to-all":
        return Sent((m - 1) / n, (n - m) / n)
    times = 2 if kind == "all-reduce" else 1
    return Sent(times * (m - 1) / m, times * (g - 1) / g / m)


def peak(device: Device, dtype: str) -> float:
    """FLOPs a second in products of `dtype`, "bfloat16" or "float32"."""
    return device.bfloat16 if dtype == "bfloat16" else device.float32


def predict(cost: Cost, useful: float, device: Device, devices: int, dtype: str) -> Prediction:
    """The step of `cost` on each of `devices`. useful: FLOPs of the step on all of them without what is computed
    again."""
    at = peak(device, dtype)
    links = cost.sent.inside / device.link + cost.sent.across / device.network
    times = cost.flops / at, cost.moved / device.bandwidth, links
    return Prediction(*times, mfu=useful / (devices * at * max(times)), mfu_of_compute=useful / (devices * cost.flops))
