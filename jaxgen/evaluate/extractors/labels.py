"""Networks in the names of figures: their sizes, and whether their weights are those that are published."""

UNVERIFIED = " (unverified weights)"  # of those whose publishers give no checksum, in the protocol
NAMES = {(384, 12): "S", (768, 12): "B", (1024, 24): "L", (1536, 40): "g"}  # of width and depth


def sized(width: int, depth: int, patch: int) -> str:
    """A vision transformer as papers name it, "L/14", or "32x2/14" where it is none of theirs."""
    return f"{NAMES.get((width, depth), f'{width}x{depth}')}/{patch}"


def published(label: str, *files: tuple[str, str]) -> str:
    """`label`, or "label (unknown weights)" unless all `files` are the published ones. Each is how the checksum of that
    one begins, "6726825d", or its name, which ends so by the custom of PyTorch's publishers, "NAME-6726825d.pth"; and
    the checksum of what was read."""
    known = all(sha256.startswith(file.rpartition("-")[2].removesuffix(".pth")) for file, sha256 in files)
    return label if known else f"{label} (unknown weights)"
