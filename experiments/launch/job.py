"""What is to run: a command line of jaxgen, or one for each point of a sweep.

    jaxgen's own arguments, and the cartesian product over every --sweep.KEY=a,b of --config.KEY=a and --config.KEY=b

Each point has a work directory of its own inside --workdir, named by its values: learning_rate=1e-4,batch_size=64.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxgen import cli
from jaxgen.configuration import is_call, leaves, load, unknown

SWEEP = "--sweep."


class Job(NamedTuple):
    """A command line of jaxgen, without the word jaxgen, and its work directory."""

    arguments: tuple[str, ...]
    workdir: str


def jobs(arguments: Sequence[str]) -> list[Job]:
    """The jobs that `arguments` ask for, checked as far as that goes without the machine that will run them.

    Raises ValueError for what jaxgen would refuse on that machine: a flag, a file, a key of the configuration.
    """
    if any("\n" in argument for argument in arguments):
        raise ValueError("an argument holds a line break: a job is one line.")
    sweeps = [argument[len(SWEEP) :].partition("=") for argument in arguments if argument.startswith(SWEEP)]
    given, overrides = cli.split([argument for argument in arguments if not argument.startswith(SWEEP)])
    command = cli.parser().parse_args(given)
    given = [argument for argument in given if argument != "--distributed"]  # which the launcher says
    if getattr(command, "workdir", None) is None:
        raise ValueError(f"a job needs a work directory, but jaxgen {command.command} was given no --workdir.")
    if not hasattr(command, "distributed"):
        raise ValueError(f"jaxgen {command.command} is one process: run it without a launcher.")
    for flag in cli.SEVERAL[1:]:
        if getattr(command, flag) is not None:
            raise ValueError(f"--{flag} is for processes that are started by hand: leave it to the launcher.")
    file = getattr(command, "config", None)
    if file is None and sweeps:
        raise ValueError(f"only a command with --config can be swept, not jaxgen {command.command}.")
    if file is not None:
        check(load(file, overrides), sweeps)

    kept, root = without_workdir(given)
    made = []
    for point in itertools.product(*([f"{key}={value}" for value in values(text)] for key, _, text in sweeps)):
        folder = f"{root.rstrip('/')}/{name(point)}" if point else root
        settings = [*overrides, *point]
        if file is not None and point:
            load(file, settings)
        made.append(Job((*kept, f"--workdir={folder}", *(f"--config.{setting}" for setting in settings)), folder))
    if len({job.workdir for job in made}) < len(made):
        raise ValueError("two points of the sweep have the same name: make their values differ in more than signs.")
    return made


def check(config: ConfigDict, sweeps: Iterable[tuple[str, str, str]]) -> None:
    """Raises ValueError unless `config` has each key that is swept, as a value or as a function."""
    known = dict(leaves(config))
    for key, _, text in sweeps:
        section: Any = config
        for part in key.split("."):
            section = section.get(part) if isinstance(section, ConfigDict) else None
        if key not in known and not is_call(section):
            raise unknown("key of a sweep", key, known)
        if not text:
            raise ValueError(f"expected {SWEEP}{key}=VALUE,VALUE,..., got no values.")


def without_workdir(arguments: Sequence[str]) -> tuple[list[str], str]:
    """(the arguments before and after --workdir, its value as it was written)."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--workdir")
    found, rest = parser.parse_known_args(arguments)
    return rest, found.workdir


def values(text: str) -> list[str]:
    """The values in "a,b,c"; a comma inside brackets or quotes separates none: "(1,2),(2,2)" has two."""
    return re.findall(r"""(?:\([^()]*\)|\[[^\[\]]*\]|'[^']*'|"[^"]*"|[^,])+""", text)


def name(point: Sequence[str]) -> str:
    """The folder of the settings of a point: "learning_rate=1e-4,batch_size=64"; whole keys where two end alike."""
    keys, chosen = zip(*(setting.split("=", 1) for setting in point), strict=True)
    ends = [key.rpartition(".")[2] for key in keys]
    short = ends if len(set(ends)) == len(ends) else keys
    plain = [re.sub(r"[^A-Za-z0-9.+_-]+", "_", value) for value in chosen]
    return ",".join(f"{key}={value}" for key, value in zip(short, plain, strict=True))


def guard(main: Callable[[], int]) -> int:
    """What `main` returns; 2 and one sentence on the standard error for bad input, 130 if it was interrupted."""
    try:
        return main()
    except (ValueError, OSError) as error:
        print(f"launch: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("launch: interrupted.", file=sys.stderr)
        return 130


def each(jobs: Iterable[Job], run: Callable[[Job], int]) -> int:
    """Run the jobs one after the other; one that fails stops no other. Returns the first exit code that is not 0."""
    return next(filter(None, [run(job) for job in jobs]), 0)
