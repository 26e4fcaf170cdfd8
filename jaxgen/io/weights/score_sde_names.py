"""Where the parameters of score_sde's PyTorch networks stand in the trees of its JAX ones, which are those here.

U-Nets      all_modules.I.REST -> the I-th module in the order of the calls / REST
RefineNets  names by their place -> a counter for each class, in the order of the calls
leaves      weight -> kernel (convolution OIHW -> HWIO, linear transposed), scale (norm), embedding; others keep theirs
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

Path = tuple[str, ...]

LEAVES = {"Conv": "kernel", "Dense": "kernel", "GroupNorm": "scale", "Embed": "embedding"}  # names of their "weight"
INSIDE = {  # a RefineNet's modules within the network and within its blocks; Norm stands for whichever norm it is
    r"begin_conv": "Conv_0",
    r"end_conv": "Conv_1",
    r"normalizer": "Norm_0",
    r"conv1": "Conv_0",
    r"conv2": "Conv_1",
    r"conv2\.conv": "ConvMeanPool_0/Conv_0",
    r"shortcut": "Conv_2",
    r"shortcut\.conv": "ConvMeanPool_1/Conv_0",
    r"normalize1": "Norm_0",
    r"normalize2": "Norm_1",
    r"crp\.convs\.(\d+)": r"CRPBlock_0/Conv_\1",
    r"crp\.norms\.(\d+)": r"CRPBlock_0/Norm_\1",
    r"msf\.convs\.(\d+)": r"MSFBlock_0/Conv_\1",
    r"msf\.norms\.(\d+)": r"MSFBlock_0/Norm_\1",
}
RESIDUAL = re.compile(r"(res\d+)\.([01])\.(.+)")
REFINE = re.compile(r"(refine\d+)\.(.+)")
UNIT = re.compile(r"(?:adapt_convs\.(\d+)|output_convs)\.([123])_([12])_(conv|norm)")


def flax_paths(names: Iterable[str], calls: Sequence[str]) -> dict[str, Path]:
    """torch name -> path here, for the parameters of a network in their order.

    calls: the network's modules that have parameters, in the order in which it calls them. A parameter that has no
    place keeps its torch name, which no network here has.
    """
    names = list(names)
    unet = any(name.startswith("all_modules.") for name in names)
    return unet_paths(names, calls) if unet else refine_net_paths(names)


def unet_paths(names: Sequence[str], calls: Sequence[str]) -> dict[str, Path]:
    """The paths in NCSN++, DDPM++ and DDPM, whose blocks name their children as here."""
    numbers = {number for name in names if (number := numbered(name)) is not None}
    module = dict(zip(sorted(numbers), calls, strict=False))
    return {
        name: renamed((module[number], *name.split(".")[2:])) if (number := numbered(name)) in module else (name,)
        for name in names
    }


def numbered(name: str) -> int | None:
    """I of all_modules.I.REST."""
    found = re.match(r"all_modules\.(\d{1,4})\.", name)
    return None if found is None else int(found[1])


def refine_net_paths(names: Sequence[str]) -> dict[str, Path]:
    """The paths in NCSN and NCSNv2. Level res31 of the largest lies between res3 and res4, and its refine31 between
    refine2 and refine3."""
    levels = {name.partition(".")[0] for name in names}
    residual = sorted(level for level in levels if level.startswith("res"))
    refine = sorted((level for level in levels if level.startswith("refine")), key=lambda level: f"{level}9")
    units = {
        level: len({name.split(".")[2] for name in names if name.startswith(f"{level}.adapt")}) for level in refine
    }
    gains = {name.removesuffix(".gamma") for name in names if name.endswith(".gamma")}

    def path(name: str) -> Path:
        module, _, leaf = name.rpartition(".")
        block, local, first = "", module, 0
        if found := RESIDUAL.fullmatch(module):
            block, local = f"ResidualBlock_{2 * residual.index(found[1]) + int(found[2])}/", found[3]
        elif found := REFINE.fullmatch(module):
            block, local, first = f"RefineBlock_{refine.index(found[1])}/", found[2], units[found[1]]
        embed = local.endswith(".embed")
        place = inside(local.removesuffix(".embed"), first)
        if place is None:
            return (name,)
        norm = "InstanceNorm2dPlus" if module in gains else "VarianceNorm2d"
        place = place.replace("Norm", "ConditionalInstanceNorm2dPlus" if embed else norm) + "/Embed_0" * embed
        return renamed((*f"{block}{place}".split("/"), leaf))

    return {name: path(name) for name in names}


def inside(module: str, last: int) -> str | None:
    """The place of a module within its block, whose residual convolution unit after all others has the number `last`;
    None for one that no RefineNet has."""
    if found := UNIT.fullmatch(module):
        unit, counter = last if found[1] is None else found[1], 2 * int(found[2]) + int(found[3]) - 3
        return f"RCUBlock_{unit}/{found[4].title()}_{counter}"
    for pattern, place in INSIDE.items():
        if found := re.fullmatch(pattern, module):
            return found.expand(place)
    return None


def renamed(path: Path) -> Path:
    """The path with a "weight" at its end under its name here."""
    *modules, leaf = path
    kind = modules[-1].rpartition("_")[0] if modules else ""
    return (*modules, LEAVES.get(kind, leaf) if leaf == "weight" else leaf)


def relaid(path: Path, array: np.ndarray) -> np.ndarray:
    """The array that stands at `path` here, from torch's layout."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if path[-1] == "kernel" else array
