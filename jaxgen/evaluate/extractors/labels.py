"""Networks in the names of figures: their sizes, and whether their weights are those that are published."""

import re

NAMES = {(384, 12): "S", (768, 12): "B", (1024, 24): "L", (1536, 40): "g"}  # of width and depth


def sized(width: int, depth: int, patch: int) -> str:
    """A vision transformer as papers name it, "L/14", or "32x2/14" where it is none of theirs."""
    return f"{NAMES.get((width, depth), f'{width}x{depth}')}/{patch}"


def published(label: str, file: str, sha256: str) -> str:
    """`label`, or "label (unknown weights)" where the checksum does not begin as the name of the published `file` ends:
    NAME-6726825d.pth, by the custom of PyTorch's publishers."""
    named = re.search(r"-([0-9a-f]{8})\.pth$", file)
    return label if named and sha256.startswith(named[1]) else f"{label} (unknown weights)"
