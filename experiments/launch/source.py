"""What was put on a machine must be what was checked here: a configuration changed since would train something else."""

import argparse
import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from job import Job

from jaxgen import cli

CHECKOUT = Path(__file__).parent.parent.parent


def check(job: Job) -> None:
    """Raises ValueError unless the configuration of the job, if it has one, is a file that is put on machines."""
    command: argparse.Namespace = cli.parser().parse_args(cli.split(job.arguments)[0])
    file = getattr(command, "config", None)
    if file is None:
        return
    here = CHECKOUT / "configs"
    if Path(file).is_absolute() or ".." in Path(file).parts or here.resolve() not in Path(file).resolve().parents:
        raise ValueError(f"--config must be configs/... of the checkout {CHECKOUT}, named from there, got {file}.")


def digest(checkout: Path, folders: Sequence[str]) -> str:
    """Of the Python files in these folders, and of their names: what `sha256sum` says of its own lines about them."""
    names = sorted(str(path.relative_to(checkout)) for folder in folders for path in (checkout / folder).rglob("*.py"))
    lines = [f"{hashlib.sha256((checkout / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def unchanged(checkout: Path, folders: Sequence[str], remedy: str) -> str:
    """Shell text: end with 2 unless these folders, in the working directory, are those of `checkout` now."""
    found = f"find -L {shlex.join(folders)} -name '*.py' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    said = shlex.quote(f"{' and '.join(folders)} of this machine are not those that were checked: {remedy}.")
    return f'[ "$({found})" = "{digest(checkout, folders)}  -" ] || {{ echo {said} >&2; exit 2; }}'
