"""What --metrics may name: METRIC@NETWORK or METRIC@NETWORK.LAYER, the names under which some are published, and
comparisons of images in pairs."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from jaxgen.configuration import unknown
from jaxgen.evaluate.extractors import inception, lite0, vgg
from jaxgen.evaluate.extractors.inception import RULES
from jaxgen.evaluate.figures import LOGITS, METRICS, Metric
from jaxgen.evaluate.paired import comparisons
from jaxgen.evaluate.paired.comparisons import Comparison
from jaxgen.evaluate.result import Result
from jaxgen.evaluate.stream.clips import PROTOCOLS, Protocol
from jaxgen.evaluate.stream.features import BATCH, Extractor

PIXELS = "pixels"


class Network(NamedTuple):
    """A network that figures can be taken in.

    label:   of the Extractor that published names of figures mean; any other has its own label in their place.
    module:  of jaxgen.evaluate.extractors, and the `options` of its `open`.
    weights: NETWORK of --weights NETWORK=PATH.
    file:    what PATH is a file of.
    variant: what tells its figures from others of the same weights.
    package: that `open` finds the file in, where there is no PATH.
    clips:   how those are cut that it looks at, of a network for videos [n, T, H, W, C].
    batch:   images at a time.
    layers:  that metrics may be taken in; those with classes have LOGITS.
    """

    label: str
    module: str
    weights: str
    file: str
    options: Mapping[str, Any] = {}
    variant: str = ""
    package: str = ""
    clips: Protocol | None = None
    batch: int = BATCH
    layers: tuple[str, ...] = ("features",)


INCEPTION = ("features", LOGITS, "spatial", "pool64", "pool192", "pool768")
CLASSES = ("features", LOGITS)
CLIP = "OpenAI's ViT-L-14-336px.pt"
I3D = "i3d_torchscript.pt of StyleGAN-V"

NETWORKS = {
    "inception": Network("Inception", "inception", "inception", inception.ADDRESS, layers=INCEPTION),
    **{
        f"inception_{rule}": Network(
            "Inception", "inception", "inception", inception.ADDRESS, {"rule": rule}, rule, layers=INCEPTION
        )
        for rule in RULES
        if rule != "tf1"
    },
    "torchvision_inception": Network(
        "torchvision-Inception",
        "torchvision_inception",
        "torchvision_inception",
        "torchvision's inception_v3_google-0cc3c7bd.pth",
        layers=INCEPTION,
    ),
    "i3d": Network("I3D", "i3d", "i3d", I3D, clips=Protocol(), batch=8, layers=CLASSES),
    **{
        f"i3d_{name}": Network("I3D", "i3d", "i3d", I3D, variant=name, clips=clips, batch=8, layers=CLASSES)
        for name, clips in PROTOCOLS.items()
    },
    "vgg": Network("VGG", "vgg", "vgg", vgg.ADDRESS, layers=("features", "fc1")),
    "lite0": Network("lite0", "lite0", "lite0", Path(lite0.FILE).name, package=lite0.PACKAGE, layers=CLASSES),
    "dinov2": Network("DINOv2-L/14", "dinov2", "dinov2", "dinov2_vitl14_pretrain.pth"),
    "clip": Network("CLIP-L/14-336", "clip", "clip", CLIP),
    "clip_gelu": Network("CLIP-L/14-336-gelu", "clip", "clip_gelu", "a CLIP trained with gelu", {"activation": "gelu"}),
    "clip_cmmd": Network("CLIP-L/14-336", "clip", "clip", CLIP, {"rule": "cmmd"}, "cmmd"),
}

ALIASES = {
    "fd": "fd@pixels",
    "prdc": "prdc@pixels",
    "nn": "nn@pixels",
    "fid": "fd@inception",
    **{f"fid_{rule}": f"fd@inception_{rule}" for rule in RULES if rule != "tf1"},
    "sfid": "fd@inception.spatial",
    "fid_infinity": "fd_infinity@inception",
    "kid": "kid@inception",
    "is": "is@inception",
    "mode_score": "mode_score@inception",
    "am_score": "am_score@inception",
    "ipr": "ipr@vgg",
    "realism": "realism@vgg",
    "fd_dinov2": "fd@dinov2",
    "fd_lite0": "fd@lite0",
    "cmmd": "mmd@clip_cmmd",
    "vendi": "vendi@inception",
    "fvd": "fd@i3d",
    **{f"fvd_{name}": f"fd@i3d_{name}" for name in PROTOCOLS},
}

OF_PIXELS = (
    *("precision", "recall", "density", "coverage", "copies"),
    *(f"nearest_{role}_{which}" for role in ("real", "train") for which in ("median", "p05")),
)
PUBLISHED = {  # names of figures that say their network
    ("FD", "pixels"): "FDpix",
    **{(name, "pixels"): name for name in OF_PIXELS},
    ("FD", "inception"): "FID",
    **{("FD", f"inception_{rule}"): f"FID-{rule}" for rule in RULES if rule != "tf1"},
    ("FD", "inception.spatial"): "sFID",
    ("FD_infinity", "inception"): "FID_infinity",
    ("FD", "dinov2"): "FD-DINOv2",
    ("FD", "i3d"): "FVD",
    **{("FD", f"i3d_{name}"): f"FVD-{name}" for name in PROTOCOLS},
    ("MMD", "clip_cmmd"): "CMMD",
    ("improved_precision", "vgg"): "improved_precision",
    ("improved_recall", "vgg"): "improved_recall",
    **{(name, "inception"): name for name in ("KID", "KID_full", "IS", "IS_10", "mode_score", "AM_score")},
}

PAIRED: dict[str, tuple[str, ...]] = {  # and NETWORK of each --weights that they take
    **{name: () for name in comparisons.PIXELS},
    **{f"lpips_{net}": (net, f"lpips_{net}") for net in comparisons.TRUNKS},
    **{f"stlpips_{net}": (f"stlpips_{net}",) for net in comparisons.SHIFT_TOLERANT},
}
OF_MODEL = ("bpd", "reconstruction")


class Chosen(NamedTuple):
    """A metric in a layer of a network."""

    name: str
    metric: Metric
    network: str
    layer: str

    def needs(self, fields: Sequence[str]) -> set[str]:
        """These fields of Seen as `jaxgen.evaluate.stream.accumulate` names them."""
        return {f"{field}.{self.layer}" for field in fields}

    def named(self, result: Result, protocol: str, network: Extractor | None) -> Result:
        """A figure of this metric in `network`, or in raw pixels, under its own name: a published one where label and
        layer are those that it means, else one that says them."""
        where = self.network if self.layer == self.metric.layer else f"{self.network}.{self.layer}"
        known = NETWORKS.get(self.network)
        label = "pix" if network is None else network.label or self.network
        common = known is None or label == known.label
        name = PUBLISHED.get((result.name, where)) if common else None
        if name is None:
            size, space, note = label.partition(" ")
            variant = known.variant if known else ""
            name = "-".join(part for part in (result.name, size, variant, where.partition(".")[2]) if part)
            name += space + note
        weights, dtype = ("", "float64") if network is None else (network.weights, network.dtype)
        return result._replace(name=name, protocol=protocol, layer=self.layer, weights=weights, dtype=dtype)

    @property
    def space(self) -> tuple[Metric, str, str]:
        """What it is, whatever it was called: two of one would be one figure twice."""
        return self.metric, self.network, self.layer


def parse(text: str) -> Chosen:
    """The metric of one name. Raises ValueError for any other."""
    found = re.fullmatch(r"(\w+)@(\w+)(?:\.(\w+))?", ALIASES.get(text, text))
    if found is None:
        raise unknown("metric", text, [*ALIASES, *PAIRED, *OF_MODEL, *(f"{name}@NETWORK" for name in METRICS)])
    name, network, layer = found.groups()
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    if network not in (PIXELS, *NETWORKS):
        raise unknown("network", network, (PIXELS, *NETWORKS))
    metric, there = METRICS[name], known_layers(network)
    if layer is not None and layer not in there:
        raise unknown(f"layer of {network}", layer, there)
    if metric.layer not in there:
        others = [name for name, other in NETWORKS.items() if metric.layer in other.layers and name == other.weights]
        raise ValueError(
            f"{text} needs the {metric.layer} of a network, but {network} has only {', '.join(there)}: take one of "
            f"{', '.join(others)}."
        )
    if metric.layer == LOGITS and layer not in (None, LOGITS):
        raise ValueError(f"{text} needs probabilities of classes, which {layer} are not: ask for {name}@{network}.")
    return Chosen(text, metric, network, layer or metric.layer)


def known_layers(network: str) -> tuple[str, ...]:
    """The layers of a network, of raw pixels themselves."""
    return ("features",) if network == PIXELS else NETWORKS[network].layers


def open_network(name: str, weights: Mapping[str, Path]) -> Extractor:
    """The network with its weights from these files. Raises ValueError where its file is missing or another one."""
    network = NETWORKS[name]
    path = weights.get(network.weights)
    if path is None and not network.package:
        raise ValueError(
            f"{name}, a network of {network.label}, needs its weights: pass --weights {network.weights}=PATH of "
            f"{network.file}."
        )
    opener: Callable[..., Extractor] = import_module(f"jaxgen.evaluate.extractors.{network.module}").open
    found = opener(path, **network.options)
    return found if network.clips is None else found._replace(name=f"{found.name}; {network.clips.name}")


def open_comparison(name: str, weights: Mapping[str, Path]) -> Comparison:
    """The comparison of pairs of images that PAIRED names. Raises ValueError where a file is missing or another one."""
    kind, _, network = name.partition("_")
    if name in comparisons.PIXELS:
        return comparisons.PIXELS[name]
    if kind == "stlpips":
        return comparisons.open_stlpips(network, weights.get(name))
    if not {*PAIRED[name]} <= {*weights}:
        raise ValueError(
            f"{name} needs two files: pass --weights {network}=PATH of torchvision's network and --weights {name}=PATH "
            "of the linear layers of LPIPS 0.1."
        )
    return comparisons.open_lpips(network, weights[network], weights[name])


def files(given: Sequence[str]) -> dict[str, Path]:
    """Of NETWORK=PATH each: the file of each network."""
    known = sorted({*(network.weights for network in NETWORKS.values()), *chain(*PAIRED.values())})
    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise ValueError(f"--weights must be NETWORK=PATH, got {text!r}.")
        if name not in known:
            raise unknown("network", name, known)
        found[name] = Path(path)
    return found


def check_used(given: Collection[str], chosen: Sequence[Chosen], paired: Sequence[str]) -> None:
    """Raises ValueError where none of these metrics takes a file that --weights was `given`."""
    taken = {NETWORKS[one.network].weights for one in chosen if one.network != PIXELS}
    for name in sorted({*given} - taken - {*chain(*(PAIRED[pair] for pair in paired))}):
        of = [network for network, known in NETWORKS.items() if known.weights == name]
        short = [alias for alias, full in ALIASES.items() if parse(full).network in of]
        users = [*short, *(pair for pair, files in PAIRED.items() if name in files)] or [f"METRIC@{one}" for one in of]
        raise ValueError(
            f"--weights {name}=PATH is of no metric in --metrics: leave it out, or ask for {' or '.join(users)}."
        )


def listing() -> str:
    """All that --metrics and --weights may name, as lines."""
    networks = [("pixels", "", "raw pixels, no weights")]
    for name, network in NETWORKS.items():
        of = network.file.rpartition("/")[2] + offline(network.package)
        layers = f"; layers {', '.join(network.layers)}" * (len(network.layers) > 1)
        networks.append((name, network.weights, of + layers))
    pairs = [(name, "", "") for name in comparisons.PIXELS]
    for name in comparisons.TRUNKS:
        of = f"torchvision's network and the linear layers of LPIPS 0.1, {name}.pth"
        pairs.append((f"lpips_{name}", f"{name}, lpips_{name}", of))
    for name in comparisons.SHIFT_TOLERANT:
        file = comparisons.FILE.format(name).rpartition("/")[2]
        pairs.append((f"stlpips_{name}", f"stlpips_{name}", file + offline(comparisons.PACKAGE)))
    parts = {
        "NETWORK, and its file as --weights NAME=FILE": networks,
        "short for": [(alias, full, "") for alias, full in ALIASES.items()],
        "images of --fake beside those of --real, one to one": pairs,
    }
    lines = [f"a metric is METRIC@NETWORK or METRIC@NETWORK.LAYER, with METRIC one of {', '.join(METRICS)}"]
    for title, rows in parts.items():
        lines.append(f"{title}:")
        lines += [f"  {name:<23}{second:<23}{third}".rstrip() for name, second, third in rows]
    return "\n".join(lines)


def offline(package: str) -> str:
    """What to say of a file that a package brings along."""
    return f", offline: found in the package {package} of pip install 'jaxgen[offline]'" if package else ""
