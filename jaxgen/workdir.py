"""The work directory of a run: everything the command line needs to go on with it or to use its model.

config.json   checkpoints/   metrics.jsonl   tensorboard/   samples/*.png   eval/<step>/
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

import jaxgen
from jaxgen.configuration import complete, differences, plain
from jaxgen.data import Spec
from jaxgen.io import atomic
from jaxgen.recipes.space import Statistics

FORMAT = 1


class Run(NamedTuple):
    """A configuration with the facts and statistics of its training data, and where it lives."""

    root: Path
    config: ConfigDict
    spec: Spec
    statistics: Statistics

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.root / "samples"


def enter(root: Path, config: ConfigDict, facts: Callable[[], tuple[Spec, Statistics]]) -> Run:
    """The run of `config` in `root`: a new one, for which `facts` are asked, or the one that is there already.

    Nothing is written yet.

    Raises ValueError if `root` holds a run that trains differently, or something else.
    """
    if (root / "config.json").exists():
        old = read(root)
        for key, before, now in differences(old.config, config)[:1]:
            raise ValueError(
                f"{root} holds a run with {key}={before}, but the configuration says {now}: take another --workdir, or "
                f"--config.{key}={before}."
            )
        return old._replace(config=config)
    if root.is_dir() and any(root.iterdir()) or root.exists() and not root.is_dir():
        raise ValueError(
            f"expected a work directory or none at {root}, but it holds something else: take another --workdir."
        )
    return Run(root, config, *facts())


def write(run: Run) -> None:
    """Put config.json in place, whole or not at all."""
    statistics = {"mean": run.statistics.mean.tolist(), "sigma_data": run.statistics.sigma_data}
    document = {
        "format": FORMAT,
        "version": jaxgen.__version__,
        "config": plain(run.config),
        "spec": run.spec._asdict(),
        "statistics": statistics,
    }
    atomic.write(run.root / "config.json", json.dumps(document, indent=1).encode() + b"\n")


def read(root: Path) -> Run:
    """The run in `root`. Raises ValueError if there is none, or none that this version can read."""
    path = root / "config.json"
    if not path.is_file():
        raise ValueError(
            f"expected a work directory with a config.json at {root}, found none: train one, or correct --workdir."
        )
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        format = document["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the configuration of a run: restore it, or take another --workdir.") from error
    if format != FORMAT:
        raise ValueError(f"{path} has format {format}, but this version of jaxgen reads format {FORMAT}.")
    spec = {**document["spec"]}
    spec |= {"shape": tuple(spec["shape"]), "class_names": tuple(spec["class_names"])}
    mean = np.asarray(document["statistics"]["mean"], np.float32)
    statistics = Statistics(mean, document["statistics"]["sigma_data"])
    return Run(root, complete(ConfigDict(document["config"])), Spec(**spec), statistics)
