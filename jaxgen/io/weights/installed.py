"""Weights that lie in installed Python packages, which are not imported."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def installed(package: str, file: str) -> Path:
    """Where the `file` of the installed distribution `package` lies. Raises ValueError where it is not installed."""
    try:
        found = Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        found = None
    if found is None or not found.is_file():
        raise ValueError(
            f"expected {file} of the package {package}, which is not installed: pip install 'jaxgen[offline]'."
        )
    return found
