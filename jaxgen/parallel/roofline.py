"""The roofline: how long a step takes at least on a device, from what its program computes, moves and sends.

    time = max(FLOPs / peak, bytes of memory / bandwidth, bytes sent / link),    MFU = useful FLOPs / (time peak)

Nothing overlaps worse than perfectly, and nothing runs below its peak: measured steps are slower. Source: Williams,
Waterman and Patterson 2009, "Roofline: An Insightful Visual Performance Model"; MFU as in Chowdhery et al. 2022 (PaLM),
appendix B.
"""

from collections.abc import Mapping
from typing import NamedTuple

from jaxgen.configuration import unknown
from jaxgen.parallel.collectives import Collective


class Device(NamedTuple):
    """One accelerator, per second and in bytes: products of bfloat16 and of float32 numbers (in float32 as JAX forms
    them by default: bfloat16 passes on a TPU, TF32 on a GPU); memory and its bandwidth; what it sends in a ring over
    `link`, which joins `island` devices, and over `network`, which joins islands."""

    name: str
    bfloat16: float
    float32: float
    memory: float
    bandwidth: float
    link: float
    island: int
    network: float
    source: str


# Of a torus of TPUs a ring uses one axis, both ways: 2 of the 4 links of a v5e, of the 6 of a v5p.
TPU = "cloud.google.com/tpu/docs"
DEVICES: Mapping[str, Device] = {
    "v5e": Device("v5e", 197e12, 197e12, 16e9, 819e9, 2 * 50e9, 256, 3.125e9, f"{TPU}/v5e"),
    "v5p": Device("v5p", 459e12, 459e12, 95e9, 2765e9, 2 * 100e9, 8960, 6.25e9, f"{TPU}/v5p"),
    "h100": Device("h100", 989e12, 494e12, 80e9, 3.35e12, 450e9, 8, 50e9, "NVIDIA's data sheet of the H100 SXM"),
    "h200": Device("h200", 989e12, 494e12, 141e9, 4.8e12, 450e9, 8, 50e9, "NVIDIA's data sheet of the H200 SXM"),
}
RINGS = {"all-reduce": 2.0}  # times the array goes round a ring, where it is not once


class Cost(NamedTuple):
    """What one step asks of each device: FLOPs, bytes of memory read and written, bytes sent to other devices."""

    flops: float
    moved: float
    sent: float


class Prediction(NamedTuple):
    """Seconds of computing, memory and links, the longest of which is the step; its MFU."""

    compute: float
    memory: float
    links: float
    mfu: float

    @property
    def step(self) -> float:
        return max(self.compute, self.memory, self.links)

    @property
    def bound(self) -> str:
        """By what the step is bound."""
        return max((self.compute, "compute"), (self.memory, "memory"), (self.links, "links"))[1]


def device_of(name: str) -> Device:
    """The device called `name`. Raises ValueError."""
    if name not in DEVICES:
        raise unknown("--device", name, DEVICES)
    return DEVICES[name]


def sent(found: Mapping[str, Collective], devices: int) -> float:
    """Bytes that each of `devices` in a ring sends for these collectives: (n - 1)/n of their arrays, in an all-reduce
    twice (Patarasuk and Yuan 2009)."""
    whole = sum(RINGS.get(kind, 1.0) * collective.bytes for kind, collective in found.items())
    return whole * (devices - 1) / devices


def predict(cost: Cost, useful: float, device: Device, devices: int, dtype: str) -> Prediction:
    """The step of `cost` on each of `devices`. useful: FLOPs of the step on all of them without what is computed
    again; dtype: "bfloat16" or "float32", of the products."""
    peak = device.bfloat16 if dtype == "bfloat16" else device.float32
    link = device.link if devices <= device.island else device.network
    times = cost.flops / peak, cost.moved / device.bandwidth, cost.sent / link
    return Prediction(*times, mfu=useful / (devices * peak * max(times)))
